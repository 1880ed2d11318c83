import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { S3Error } from '../errors.js';
import { type Checksum, compositeChecksum, fullObjectChecksum, isCrc } from '../http/checksums.js';
import type { Bucket } from './bucket.js';
import { KeyedMutex } from './keyed-mutex.js';
import { mapConcurrently } from './map-concurrently.js';
import { readMetadata } from './metadata-file.js';
import {
  type CompletedUpload,
  type CompletionClaim,
  type MultipartUpload,
  type NamedPart,
  partListOf,
  segmentOf,
  type UploadedPart,
  type UploadMetadata,
} from './multipart-upload.js';

/** Every part but the last (S3 user guide, multipart upload limits). */
const MIN_PART_BYTES = 5 * 1024 ** 2;
/** How long a finished upload answers the same Complete again. */
const COMPLETED_KEPT_MS = 24 * 60 * 60 * 1000;

/**
 * The multipart uploads of one bucket. Completing one moves no bytes: the object's metadata names the part files. The work on one
 * upload runs in order, so a part that comes in during Complete is either listed in time or refused as NoSuchUpload.
 */
export class MultipartUploads {
  readonly #uploads = new Map<string, MultipartUpload>();
  readonly #inOrder = new KeyedMutex();
  #lastTime = 0;

  constructor(
    private readonly bucket: Bucket,
    private readonly folder: string,
  ) {}

  /** Those neither completed nor aborted. */
  *open(): Generator<UploadMetadata> {
    for (const { metadata } of this.#uploads.values()) if (!metadata.completed) yield metadata;
  }

  /** The data files of all parts. */
  *dataFiles(): Generator<string> {
    for (const { parts } of this.#uploads.values()) for (const { file } of parts.values()) yield file;
  }

  async create(upload: Omit<UploadMetadata, 'id' | 'initiated'>): Promise<UploadMetadata> {
    const initiated = Date.now();
    // Two uploads of one millisecond must not change places in a list.
    this.#lastTime = Math.max(this.#lastTime + 1, initiated * 1000);
    const id = `${this.#lastTime.toString(36).padStart(11, '0')}.${randomBytes(24).toString('hex')}`;
    const metadata: UploadMetadata = { ...upload, id, initiated };
    await mkdir(join(this.folder, id));
    await this.#write(metadata);
    this.#uploads.set(id, { metadata, parts: new Map() });
    return metadata;
  }

  /** @throws S3Error NoSuchUpload also for one that is completed or belongs to another key */
  find(id: string, key: string): MultipartUpload {
    const upload = this.#uploads.get(id);
    if (!upload || upload.metadata.key !== key || upload.metadata.completed) throw noSuchUpload(id);
    return upload;
  }

  /**
   * Makes data the part of its number, in place of one sent before. On an error the data file is still the caller's.
   * @throws S3Error NoSuchUpload
   */
  async putPart(id: string, key: string, part: UploadedPart): Promise<void> {
    const replaced = await this.#inOrder.run(id, async () => {
      const upload = this.find(id, key);
      const previous = upload.parts.get(part.number);
      await this.bucket.writeMetadata(join(this.folder, id, `${part.number}.json`), part);
      upload.parts.set(part.number, part);
      return previous;
    });
    if (replaced) await this.bucket.removeData([segmentOf(replaced)]);
  }

  /** @throws S3Error NoSuchUpload */
  async abort(id: string, key: string): Promise<void> {
    await this.#inOrder.run(id, async () => {
      const { parts } = this.find(id, key);
      // Without upload.json the folder is no upload any more, also after a crash at the next line.
      await rm(join(this.folder, id, 'upload.json'), { force: true });
      this.#uploads.delete(id);
      await this.bucket.removeData([...parts.values()].map(segmentOf));
      await rm(join(this.folder, id), { recursive: true, force: true });
    });
  }

  /**
   * Publishes the object. The same part list again after a success gives the same result again.
   * @throws S3Error NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, PreconditionFailed, BadDigest, InvalidRequest
   */
  async complete(id: string, key: string, claim: CompletionClaim): Promise<CompletedUpload> {
    const { parts: named, condition } = claim;
    return this.#inOrder.run(id, async () => {
      const upload = this.#uploads.get(id);
      const before = upload?.metadata.completed;
      if (before && upload.metadata.key === key && before.partList === partListOf(named)) return before;
      const { metadata, parts } = this.find(id, key);
      if (metadata.checksumAlgorithm) checkConsecutive(named);
      const chosen = choose(parts, named);
      const completed: CompletedUpload = {
        at: Date.now(),
        etag: compositeEtag(chosen),
        checksum: checksumOf(metadata, chosen),
        partList: partListOf(named),
      };
      const size = chosen.reduce((sum, part) => sum + part.size, 0);
      checkClaim(claim, size, completed.checksum);
      await this.bucket.publish(
        {
          key,
          size,
          etag: completed.etag,
          lastModified: completed.at,
          headers: metadata.headers,
          segments: chosen.map(segmentOf),
          checksum: completed.checksum,
          uploadId: id,
        },
        condition,
      );
      await this.#close(id, completed, new Set(chosen.map(({ file }) => file)));
      return completed;
    });
  }

  /** Reads the uploads back; the bucket's objects must be there already. */
  async load(): Promise<void> {
    const ids = await readdir(this.folder);
    for (const id of ids) {
      const metadata = await readMetadata<UploadMetadata>(join(this.folder, id, 'upload.json'));
      const isOld = metadata?.completed && Date.now() - metadata.completed.at > COMPLETED_KEPT_MS;
      if (!metadata || isOld) {
        await rm(join(this.folder, id), { recursive: true, force: true });
        continue;
      }
      const files = (await readdir(join(this.folder, id))).filter((file) => file !== 'upload.json');
      const parts = await mapConcurrently(files, (file) => readMetadata<UploadedPart>(join(this.folder, id, file)));
      const upload: MultipartUpload = {
        metadata,
        parts: new Map(parts.flatMap((part) => (part ? [[part.number, part]] : []))),
      };
      this.#uploads.set(id, upload);
      await this.#finishInterrupted(upload);
    }
  }

  /** Ends a Complete that a crash has cut off after the object was published, so that its parts are nobody else's to remove. */
  async #finishInterrupted({ metadata, parts }: MultipartUpload): Promise<void> {
    if (metadata.completed) {
      await this.#close(metadata.id, metadata.completed, new Set());
      return;
    }
    const object = this.bucket.objects.get(metadata.key)?.metadata;
    if (object?.uploadId !== metadata.id) return;
    const files = new Set(object.segments.map(({ file }) => file));
    const chosen = [...parts.values()].filter(({ file }) => files.has(file)).sort((a, b) => a.number - b.number);
    await this.#close(
      metadata.id,
      { at: object.lastModified, etag: object.etag, checksum: object.checksum, partList: partListOf(chosen) },
      files,
    );
  }

  async #close(id: string, completed: CompletedUpload, usedFiles: ReadonlySet<string>): Promise<void> {
    const upload = this.#uploads.get(id);
    if (!upload) return;
    const metadata = { ...upload.metadata, completed };
    await this.#write(metadata);
    const parts = [...upload.parts.values()];
    upload.metadata = metadata;
    upload.parts.clear();
    for (const { number } of parts) await rm(join(this.folder, id, `${number}.json`), { force: true });
    // After a crash in here the sweep at the next start removes the unused data.
    if (usedFiles.size > 0) {
      await this.bucket.removeData(parts.filter(({ file }) => !usedFiles.has(file)).map(segmentOf));
    }
  }

  #write(metadata: UploadMetadata): Promise<void> {
    return this.bucket.writeMetadata(join(this.folder, metadata.id, 'upload.json'), metadata);
  }
}

/** With checksums on the parts their numbers may have no gaps (S3 API reference, CompletedPart). */
function checkConsecutive(named: readonly NamedPart[]): void {
  if (named.every(({ number }, index) => number === index + 1)) return;
  throw new S3Error('InvalidPartOrder', 'Part numbers must start at 1 and be consecutive when parts have checksums.');
}

function choose(parts: ReadonlyMap<number, UploadedPart>, named: readonly NamedPart[]): UploadedPart[] {
  const chosen = named.map(({ number, etag, checksum }, index) => {
    const previous = named[index - 1];
    if (previous && previous.number >= number) {
      throw new S3Error(
        'InvalidPartOrder',
        'The list of parts was not in ascending order. Parts must be ordered by part number.',
      );
    }
    const part = parts.get(number);
    const differs = checksum && part?.checksum?.value !== checksum.value;
    if (!part || part.etag !== etag || differs) {
      throw new S3Error(
        'InvalidPart',
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
        { PartNumber: number, ETag: etag },
      );
    }
    return part;
  });
  const small = chosen.slice(0, -1).find(({ size }) => size < MIN_PART_BYTES);
  if (small) {
    throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', {
      ProposedSize: small.size,
      MinSizeAllowed: MIN_PART_BYTES,
      PartNumber: small.number,
      ETag: small.etag,
    });
  }
  return chosen;
}

function checkClaim(claim: CompletionClaim, size: number, checksum: Checksum | undefined): void {
  if (claim.objectSize !== undefined && claim.objectSize !== size) {
    throw new S3Error(
      'InvalidRequest',
      'The provided x-amz-mp-object-size header value does not match the size of the parts.',
      {
        ProposedSize: claim.objectSize,
        ActualSize: size,
      },
    );
  }
  // Composite checksums are sent with and without the number of parts.
  const isOther =
    claim.checksum &&
    (claim.checksum.algorithm !== checksum?.algorithm ||
      claim.checksum.value.replace(/-\d+$/, '') !== checksum.value.replace(/-\d+$/, ''));
  if (isOther) {
    throw new S3Error(
      'BadDigest',
      `The ${claim.checksum?.algorithm} you specified did not match the calculated checksum.`,
    );
  }
}

function compositeEtag(parts: readonly UploadedPart[]): string {
  const hash = createHash('md5');
  for (const { etag } of parts) hash.update(etag, 'hex');
  return `${hash.digest('hex')}-${parts.length}`;
}

function checksumOf(upload: UploadMetadata, parts: readonly UploadedPart[]): Checksum | undefined {
  const algorithm = upload.checksumAlgorithm;
  if (!algorithm) return undefined;
  const values = parts.flatMap(({ checksum, size }) =>
    checksum?.algorithm === algorithm ? [{ value: checksum.value, bytes: size }] : [],
  );
  if (values.length < parts.length) return undefined;
  if (upload.checksumType === 'FULL_OBJECT')
    return isCrc(algorithm) ? fullObjectChecksum(algorithm, values) : undefined;
  return compositeChecksum(
    algorithm,
    values.map(({ value }) => value),
  );
}

function noSuchUpload(id: string): S3Error {
  return new S3Error(
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    { UploadId: id },
  );
}
