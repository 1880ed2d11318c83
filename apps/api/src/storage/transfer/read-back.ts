import { Injectable } from '@nestjs/common';
import { StoredObjectReader } from '../upload/stored-object-reader.js';
import type { ObjectPlace } from '../upload/upload-attempt.js';
import { type Claim, TransferStateRepository } from './transfer-state.repository.js';

/** Reads back an object that several owners sent parts of: none of them hashed all of its bytes. */
@Injectable()
export class ReadBack {
  constructor(
    private readonly state: TransferStateRepository,
    private readonly reader: StoredObjectReader,
  ) {}

  /**
   * SHA-256 of all bytes of the object, each of its parts held against what was sent.
   *
   * @throws StorageError STORED_BYTES_CHANGED, those of the store
   */
  async hash(claim: Claim, object: ObjectPlace & { size: number }, signal: AbortSignal): Promise<string> {
    const parts = await this.state.listParts(claim);
    const partSizeBytes = Number(claim.partSizeBytes ?? Math.max(1, object.size));
    return await this.reader.hash({ ...object, partSizeBytes, parts }, signal);
  }
}
