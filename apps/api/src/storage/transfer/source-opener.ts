import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import type { ByteSource } from '../source/byte-source.js';
import { SourceReader } from '../source/source-reader.js';
import { parseSourceHeaders, type SourceRequest } from '../source/source-request.js';
import { StorageError } from '../storage.errors.js';
import type { StorageFile } from '../storage-file.repository.js';
import { StreamSource } from '../upload/stream-source.js';
import { checkType } from './file-type-check.js';
import { type RemoteTarget, SourceVault } from './source-vault.js';
import type { NewFile } from './transfer-request.js';
import type { SourceWatchers, TransferWork } from './transfer-runner.js';

/** A link that is valid again, for the same bytes. */
export interface FreshSource {
  sourceUrl: string;
  /** Instead of those that went with the link before. */
  sourceHeaders?: Record<string, string>;
}

export type RefreshSource = (file: StorageFile) => Promise<FreshSource>;

/** A file that is fetched from a URL. */
export interface RemoteFile extends NewFile {
  /** Who asks, for people; kept in the row. */
  createdBy?: string;
  /** The same key of the same workspace means the same request, for as long as its file lives. */
  idempotencyKey?: string;
  sourceUrl: string;
  /** Sent to the origin of `sourceUrl` alone; kept encrypted until the file is DONE, and never in a log. */
  sourceHeaders?: Record<string, string>;
  /**
   * Takes a body whose end nothing but the close of the connection marks. Nobody can tell then whether it is whole, and
   * the row says so: `lengthVerified` is false.
   */
  allowUnprovenLength?: boolean;
}

/** A file whose bytes come from this process. */
export interface StreamedFile extends NewFile {
  body: Readable;
}

/** Of HTTP's registry of content codings, those of files. */
const CODINGS = new Set(['br', 'compress', 'dcb', 'dcz', 'deflate', 'gzip', 'x-compress', 'x-gzip', 'zstd']);

/** What was asked for beside the source: kept in `StorageFile.request` for whoever takes the transfer up. */
type StoredRequest = Pick<RemoteFile, 'expected' | 'maxBytes' | 'allowUnprovenLength' | 'object'>;

/** Opens what a file is made of, with everything that its bytes are held against on their way. */
@Injectable()
export class SourceOpener {
  private readonly refreshers = new Map<string, RefreshSource>();

  constructor(
    private readonly reader: SourceReader,
    private readonly vault: SourceVault,
  ) {}

  registerRefresh(type: string, refresh: RefreshSource): void {
    if (this.refreshers.has(type)) throw new Error(`fresh links of type ${type} are handed out by somebody already`);
    this.refreshers.set(type, refresh);
  }

  /** @throws StorageError SOURCE_URL_INVALID, SOURCE_ADDRESS_BLOCKED, INVALID_OPTION */
  parse({ sourceUrl, sourceHeaders }: Pick<RemoteFile, 'sourceUrl' | 'sourceHeaders'>): RemoteTarget {
    return { url: this.reader.parseUrl(sourceUrl), headers: parseSourceHeaders(sourceHeaders) };
  }

  /** The columns by which any process can take the transfer up. */
  toColumns(fileId: string, { expected, maxBytes, allowUnprovenLength, object }: RemoteFile, target: RemoteTarget) {
    const request: StoredRequest = { expected, maxBytes, allowUnprovenLength, object };
    return { sourceSealed: this.vault.seal(fileId, target), request: JSON.parse(JSON.stringify(request)) };
  }

  /**
   * The work that a row asks for.
   *
   * @throws StorageError SOURCE_LOST where nothing tells where its bytes come from
   */
  workOf(file: StorageFile): TransferWork {
    const target = this.parse(this.vault.open(file.id, file.sourceSealed));
    // Written by toColumns, of options that were checked.
    const request = (file.request ?? {}) as StoredRequest;
    return {
      host: target.url.host,
      isRepeatable: true,
      object: request.object,
      expectedSha256: request.expected?.sha256,
      open: (watchers, signal, resume) =>
        this.openRemote(file, { ...target, ...resumeOf(resume) }, request, watchers, signal),
    };
  }

  private async openRemote(
    file: StorageFile,
    target: RemoteTarget & Pick<SourceRequest, 'resume'>,
    { allowUnprovenLength, maxBytes, expected }: StoredRequest,
    watchers: SourceWatchers,
    signal: AbortSignal,
  ): Promise<ByteSource> {
    const refresh = this.refreshers.get(file.type);
    const source = await this.reader.open(
      {
        ...target,
        ...watchers,
        ...(allowUnprovenLength !== undefined ? { allowUnprovenLength } : {}),
        ...(maxBytes !== undefined ? { maxBytes } : {}),
        ...(expected?.size !== undefined ? { expectedBytes: expected.size } : {}),
        ...(refresh !== undefined ? { refresh: async () => this.parse(await refresh(file)) } : {}),
        inspect: async (beginning, contentEncoding) => {
          // A coded body begins with the coding's own signature, which is not the type that a caller insists on.
          if (isCoded(contentEncoding) && expected?.type === undefined) return;
          await checkType(beginning, typesOf(file, expected));
        },
      },
      signal,
    );
    return source;
  }

  async openStream(file: StorageFile, { body, maxBytes, expected }: StreamedFile, watchers: SourceWatchers) {
    if (body.destroyed) throw new StorageError('SOURCE_TRUNCATED', 'stream was closed before its end');
    return new StreamSource(body, {
      ...watchers,
      ...(expected?.size !== undefined ? { length: expected.size } : {}),
      ...(maxBytes !== undefined ? { maxBytes } : {}),
      inspect: (beginning) => checkType(beginning, { ...typesOf(file, expected) }),
    });
  }
}

function resumeOf(resume: SourceRequest['resume']): Pick<SourceRequest, 'resume'> {
  return resume === undefined ? {} : { resume };
}

/** Sources send other words as well, such as "none" and "utf-8", with bodies that are as they are. */
function isCoded(contentEncoding: string | null): boolean {
  return contentEncoding?.split(',').some((coding) => CODINGS.has(coding.trim().toLowerCase())) ?? false;
}

function typesOf({ mimeType }: StorageFile, expected: NewFile['expected']) {
  return { mimeType, expectedType: expected?.type };
}
