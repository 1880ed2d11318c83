import { Injectable } from '@nestjs/common';
import { PurgeRepository } from './purge.repository.js';
import { PurgeWorker } from './purge-worker.js';
import type { Finding } from './reconciliation.js';

/**
 * Has what carries our token, or whose upload id is on record, removed by the purge worker: with its looks at who has the
 * path, and its second look. Everything else is left alone.
 */
@Injectable()
export class FindingRepair {
  constructor(
    private readonly purges: PurgeRepository,
    private readonly worker: PurgeWorker,
  ) {}

  /** False: the finding is not one to repair, or the file became DONE meanwhile, or its upload is at work again. */
  async note(bucket: string, { kind, key: path, fileId, uploadId }: Finding): Promise<boolean> {
    if (fileId === undefined) return false;
    switch (kind) {
      case 'object-without-row':
      case 'object-of-failed-row':
      case 'upload-of-row':
        return await this.purges.note({ bucket, path, fileId, uploadId: uploadId ?? null });
      case 'row-without-object':
      case 'size-mismatch':
      case 'hash-mismatch':
      case 'object-of-moved-row':
      case 'foreign-object':
      case 'unknown-upload':
      case 'stuck-row':
        return false;
      default:
        throw new Error(`unknown finding ${kind satisfies never}`);
    }
  }

  /** Removes now what was noted; the workers of the product look once more. */
  async removeNow(): Promise<void> {
    await this.worker.runDue();
  }
}
