import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { SecretBox, SecretBoxError } from '../../config/secret-box.js';
import { StorageError } from '../storage.errors.js';

/** Where a file is fetched, and what goes with the request to that origin. */
export interface RemoteTarget {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

const sealedSchema = z.object({ url: z.string(), headers: z.record(z.string(), z.string()) });

/** Keeps the whole source of a file, its tokens included, in its row, where nobody can read it. */
@Injectable()
export class SourceVault {
  constructor(private readonly box: SecretBox) {}

  seal(fileId: string, { url, headers }: RemoteTarget): Uint8Array<ArrayBuffer> {
    return this.box.seal(JSON.stringify({ url: url.href, headers }), contextOf(fileId));
  }

  /** @throws StorageError SOURCE_LOST when there is none, or it cannot be opened */
  open(fileId: string, sealed: Uint8Array | null): { sourceUrl: string; sourceHeaders: Record<string, string> } {
    if (sealed === null) throw new StorageError('SOURCE_LOST', `nothing says any more where file ${fileId} comes from`);
    try {
      const { url, headers } = sealedSchema.parse(JSON.parse(this.box.open(sealed, contextOf(fileId))));
      return { sourceUrl: url, sourceHeaders: headers };
    } catch (cause) {
      const why = cause instanceof SecretBoxError ? `: ${cause.message}` : '';
      throw new StorageError('SOURCE_LOST', `the source of file ${fileId} cannot be opened${why}`, { cause });
    }
  }
}

function contextOf(fileId: string): string {
  return `source of ${fileId}`;
}
