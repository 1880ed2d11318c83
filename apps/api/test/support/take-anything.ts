import type { Shares } from '../../src/storage/transfer/fair-take.js';

/** Shares of a worker that holds nothing yet, with no limits but those given. */
export function takeAnything(limit: number, limits: Partial<Shares> = {}): Shares {
  return {
    limit,
    perWorkspace: 10_000,
    perHost: 10_000,
    workspacePlaces: new Map(),
    hostPlaces: new Map(),
    perHostOverall: 0,
    ...limits,
  };
}
