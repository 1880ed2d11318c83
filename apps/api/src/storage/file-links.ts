import { Injectable } from '@nestjs/common';
import { assertFileName, assertObjectKey, FILE_NAME_MAX_LENGTH } from './object-key.js';
import { type PresignedUrl, Presigner } from './s3/presigner.js';
import { StorageError } from './storage.errors.js';
import { DEFAULT_URL_EXPIRY_SECONDS } from './storage.options.js';
import type { StorageFile } from './storage-file.repository.js';
import { isInlineType, plainType } from './upload/content-headers.js';

export interface PresignOptions {
  /** Whole seconds, 1 to 604,800; 3,600 when absent. */
  expiresIn?: number;
  /** `inline` is refused for types that can run scripts. Absent: inline where the type is safe. */
  disposition?: 'inline' | 'attachment';
  /** Name that the browser saves under; absent: the last segment of the path. */
  filename?: string;
}

/** Presigned URLs of DONE files. */
@Injectable()
export class FileLinks {
  constructor(private readonly presigner: Presigner) {}

  /** @throws StorageError FILE_NOT_READY, FILE_DELETED, INVALID_EXPIRY, INVALID_FILENAME */
  async presign(storageFile: StorageFile, options: PresignOptions = {}): Promise<PresignedUrl> {
    const { id, path, bucket, mimeType, transferStatus } = storageFile;
    if (storageFile.deletedAt !== null) throw new StorageError('FILE_DELETED', `file ${id} is deleted`);
    if (transferStatus !== 'DONE') {
      const isRetryable = transferStatus !== 'FAILED';
      throw new StorageError('FILE_NOT_READY', `file ${id} is ${transferStatus}, not DONE`, { isRetryable });
    }
    assertObjectKey(path);
    if (options.filename !== undefined) assertFileName(options.filename);
    const filename = options.filename ?? defaultFileName(path);
    const inlineType = mimeType !== null && isInlineType(mimeType) ? plainType(mimeType) : null;
    const isInline = inlineType !== null && options.disposition !== 'attachment';
    return await this.presigner.presignGet({
      bucket,
      key: path,
      expiresIn: options.expiresIn ?? DEFAULT_URL_EXPIRY_SECONDS,
      disposition: { type: isInline ? 'inline' : 'attachment', filename },
      // A type that can run scripts stays a download even where the disposition is ignored.
      ...(inlineType === mimeType && mimeType !== null
        ? {}
        : { contentType: inlineType ?? 'application/octet-stream' }),
    });
  }
}

/** Last segment of a checked path; of a long one the end, which holds the extension. */
function defaultFileName(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .slice(-FILE_NAME_MAX_LENGTH)
    .toWellFormed();
}
