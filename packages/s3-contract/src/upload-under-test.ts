import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  ListPartsCommand,
  type ListPartsCommandInput,
  type S3Client,
  UploadPartCommand,
  type UploadPartCommandInput,
} from '@aws-sdk/client-s3';
import { must } from './expectations.js';

/** The least size of every part but the last (S3 user guide, multipart limits). */
export const MIN_PART_BYTES = 5 * 1024 ** 2;

export interface UploadSettings extends Partial<CreateMultipartUploadCommandInput> {
  readonly client?: S3Client;
}

interface Place {
  readonly Bucket: string;
  readonly Key: string;
}

/** One multipart upload and the calls on it. */
export class UploadUnderTest {
  private constructor(
    private readonly client: S3Client,
    private readonly place: Place,
    readonly id: string,
  ) {}

  static async create(client: S3Client, place: Place, settings: UploadSettings): Promise<UploadUnderTest> {
    const { client: _, ...input } = settings;
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...place, ...input }));
    must(UploadId !== undefined && UploadId !== '', 'CreateMultipartUpload answered without an UploadId');
    return new UploadUnderTest(client, place, UploadId ?? '');
  }

  /** The same upload through another client. */
  static of(client: S3Client, upload: UploadUnderTest): UploadUnderTest {
    return new UploadUnderTest(client, upload.place, upload.id);
  }

  get ids(): Place & { readonly UploadId: string } {
    return { ...this.place, UploadId: this.id };
  }

  /** Sends a part and gives what Complete names it by. */
  async part(
    PartNumber: number,
    Body: string | Uint8Array | NodeJS.ReadableStream,
    more: Partial<UploadPartCommandInput> = {},
  ): Promise<CompletedPart> {
    const input = { ...this.ids, PartNumber, Body, ...more } as UploadPartCommandInput;
    const { ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 } =
      await this.client.send(new UploadPartCommand(input));
    const sums = { ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 };
    const returned = Object.fromEntries(Object.entries(sums).filter(([, value]) => value !== undefined));
    return { PartNumber, ETag, ...returned };
  }

  complete(Parts: readonly CompletedPart[], more: Partial<CompleteMultipartUploadCommandInput> = {}) {
    return this.client.send(
      new CompleteMultipartUploadCommand({ ...this.ids, MultipartUpload: { Parts: [...Parts] }, ...more }),
    );
  }

  abort() {
    return this.client.send(new AbortMultipartUploadCommand(this.ids));
  }

  list(more: Partial<ListPartsCommandInput> = {}) {
    return this.client.send(new ListPartsCommand({ ...this.ids, ...more }));
  }
}

/** The least part there is, filled with one letter. */
export function fullPart(letter: string): Buffer {
  return Buffer.alloc(MIN_PART_BYTES, letter);
}
