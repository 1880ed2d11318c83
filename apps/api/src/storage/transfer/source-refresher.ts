import { Injectable } from '@nestjs/common';
import type { StorageFile } from '../storage-file.repository.js';

/** A link that is valid again, for the same bytes. */
export interface FreshSource {
  sourceUrl: string;
  /** Instead of those that went with the link before. */
  sourceHeaders?: Record<string, string>;
}

export type RefreshSource = (file: StorageFile) => Promise<FreshSource>;

/** Who hands out fresh links, by the `type` of a file: known by type and not by call, so that any process can ask. */
@Injectable()
export class SourceRefresher {
  private readonly providers = new Map<string, RefreshSource>();

  register(type: string, refresh: RefreshSource): void {
    if (this.providers.has(type)) throw new Error(`fresh links of type ${type} are handed out by somebody already`);
    this.providers.set(type, refresh);
  }

  find(type: string): RefreshSource | undefined {
    return this.providers.get(type);
  }
}
