import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { Injectable } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { isGone, toStoreError } from '../s3/s3-error.js';
import { StorageError } from '../storage.errors.js';
import { ObjectCleaner } from './object-cleaner.js';
import { isTokenOf, TOKEN_METADATA } from './object-proof.js';
import { listUploadsOf } from './uploads-of-key.js';

/** Where a file's tries may have left something, and the signal that ends the work there. */
export interface LeftOverPlace {
  bucket: string;
  key: string;
  fileId: string;
  signal: AbortSignal;
}

/**
 * What failed tries of a file left at its key: an object with a token of the file, and multipart uploads. Objects of
 * anybody else are never touched. Whoever calls holds the right to do so, and ends `signal` when it is lost.
 */
@Injectable()
export class LeftOvers {
  constructor(
    private readonly clients: S3Clients,
    private readonly cleaner: ObjectCleaner,
  ) {}

  /** Whether the key holds an object that a try of the file made. */
  async hasObject({ bucket, key, fileId, signal }: LeftOverPlace): Promise<boolean> {
    try {
      const head = new HeadObjectCommand({ Bucket: bucket, Key: key });
      const { Metadata } = await this.clients.control.send(head, { abortSignal: signal });
      return isTokenOf(Metadata?.[TOKEN_METADATA], fileId);
    } catch (error) {
      if (isGone(error)) return false;
      throw toStoreError(error, 'look at', { bucket, key });
    }
  }

  /**
   * Removes that object, and sees that it is gone.
   *
   * @throws StorageError FILE_BUSY when the store keeps it
   */
  async removeObject({ bucket, key, fileId, signal }: LeftOverPlace): Promise<void> {
    // With a signal, so that no repeat of it is sent when the right to send it has ended.
    await this.cleaner.removeOwn({ bucket, key }, fileId, { signal });
    await this.cleaner.assertObjectGone({ bucket, key }, fileId);
  }

  /** Ids of the uploads under way at exactly this key, whoever began them. */
  async listUploads({ bucket, key, signal }: LeftOverPlace): Promise<string[]> {
    try {
      const uploads = await listUploadsOf({ bucket, key }, (list) =>
        this.clients.control.send(list, { abortSignal: signal }),
      );
      return uploads.map(({ UploadId }) => UploadId);
    } catch (error) {
      throw toStoreError(error, 'listing the uploads of', { bucket, key });
    }
  }

  /**
   * Aborts the upload and sees that no part of it is left.
   *
   * @throws StorageError UPLOAD_FAILED when parts may be left
   */
  async discardUpload({ bucket, key }: LeftOverPlace, uploadId: string): Promise<void> {
    if (await this.cleaner.discardParts({ bucket, key, uploadId })) return;
    throw new StorageError('UPLOAD_FAILED', `parts of ${bucket}/${key} cannot be discarded now; the log says why`);
  }
}
