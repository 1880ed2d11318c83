import { Injectable } from '@nestjs/common';
import { parseSourceVersion, type SourceVersion } from '../source/source-version.js';
import { type AssertOwned, ObjectCleaner } from '../upload/object-cleaner.js';
import { ObjectUploader } from '../upload/object-uploader.js';
import type { ResumedUpload } from '../upload/stored-part.js';
import type { ObjectPlace, OpenUpload } from '../upload/upload-attempt.js';
import { type UploadedObject, UploadOutcome } from '../upload/upload-outcome.js';
import { transferLost } from './lease-keeper.js';
import { type Claim, TransferStateRepository } from './transfer-state.repository.js';

/** An upload that this owner can go on with, and the version of the source that its parts are of. */
export interface Resumption {
  readonly upload: ResumedUpload;
  readonly version: SourceVersion;
  readonly fromBytes: number;
}

/** What the owner before left. 'nothing': begin anew. */
export type LeftWork =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'object'; readonly object: UploadedObject }
  | { readonly kind: 'parts'; readonly resumption: Resumption };

interface Examination {
  /** Somebody wants the file still, and its source can be had again. */
  readonly isWanted: boolean;
  readonly signal: AbortSignal;
  readonly assertOwned: AssertOwned;
}

/** Finds out what the owner before left in the bucket, and throws away what cannot be gone on with. */
@Injectable()
export class TakeUp {
  constructor(
    private readonly state: TransferStateRepository,
    private readonly uploader: ObjectUploader,
    private readonly outcome: UploadOutcome,
    private readonly cleaner: ObjectCleaner,
  ) {}

  /**
   * A finished object is kept; parts are gone on with where `isWanted` and the row says of which version they are.
   *
   * @throws StorageError UPLOAD_OUTCOME_UNKNOWN; TRANSFER_LOST
   */
  async examine(claim: Claim, place: ObjectPlace, { isWanted, signal, assertOwned }: Examination): Promise<LeftWork> {
    const { uploadId } = claim;
    if (claim.completing && claim.size !== null) {
      const expected = { owner: makerOf(claim), size: Number(claim.size), assertOwned };
      const object = await this.outcome.takeUpComplete({ ...place, uploadId }, expected);
      if (object !== undefined) return { kind: 'object', object };
    }
    if (uploadId !== null) {
      const upload = { ...place, uploadId };
      const resumption = isWanted && !claim.completing ? await this.findResumption(claim, upload, signal) : null;
      if (resumption !== null) return { kind: 'parts', resumption };
      await this.discard(claim, upload);
    } else if (!(await this.state.detachUpload(claim))) throw transferLost(claim);
    return { kind: 'nothing' };
  }

  /** What cannot be discarded now is left to the purge worker, and holds up nothing. */
  async discard(claim: Claim, upload: OpenUpload): Promise<void> {
    if (!(await this.state.detachUpload(claim))) throw transferLost(claim);
    if (await this.cleaner.discardParts(upload)) await this.state.forgetDetached(claim, upload.uploadId);
  }

  private async findResumption(claim: Claim, upload: OpenUpload, signal: AbortSignal): Promise<Resumption | null> {
    const version = parseSourceVersion(claim.sourceVersion);
    if (version === null || claim.partSizeBytes === null) return null;
    const parts = await this.state.listParts(claim);
    const partSizeBytes = Number(claim.partSizeBytes);
    const resumed = await this.uploader.findResumable({ ...upload, partSizeBytes, parts }, signal);
    if (resumed === null) return null;
    return { upload: resumed, version, fromBytes: resumed.parts.reduce((sum, part) => sum + part.sizeBytes, 0) };
  }
}

/** What the token of the object is; of a row that does not say which try made it, what the tokens of all its tries begin with. */
function makerOf({ id, uploadAttempt }: Claim): string {
  return uploadAttempt === null ? id : `${id}.${uploadAttempt}`;
}
