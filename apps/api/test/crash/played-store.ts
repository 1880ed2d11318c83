import type { StageStore } from '@s3-transfer/crash-stage';
import { type RealStore, startCeph, startSwift } from '@s3-transfer/real-stores';
import type { PlayedStoreName } from './crash-fault.js';

/** Longer than one try settles a Complete for: as with the ten minutes of a real one, the row has to be tried again. */
const COMPLETE_LOCK_SECONDS = 5;

/** The server that the stages of a run stand on. */
export interface PlayedStore {
  readonly name: PlayedStoreName;
  /** Undefined: each stage has a local-s3 of its own. */
  readonly shared?: StageStore;
  /** The store does at once what it would do hours later to the bytes that it takes for garbage. */
  collectGarbage(): Promise<void>;
  close(): Promise<void>;
}

/** The one that CRASH_STORE names: swift or ceph, from Debian's packages; local-s3 without it. */
export function playedStoreName(): PlayedStoreName {
  const name = process.env.CRASH_STORE ?? 'local-s3';
  if (name === 'local-s3' || name === 'swift' || name === 'ceph') return name;
  throw new Error(`CRASH_STORE: there is no server "${name}"`);
}

export async function startPlayedStore(): Promise<PlayedStore> {
  const name = playedStoreName();
  if (name === 'swift') return play(await startSwift(), async () => {}); // It has none: what is deleted is gone.
  if (name === 'ceph') {
    const store = await startCeph({ completeLockSeconds: COMPLETE_LOCK_SECONDS });
    return play(store, () => store.collectGarbage());
  }
  return { name, collectGarbage: async () => {}, close: async () => {} };
}

function play(store: RealStore, collectGarbage: () => Promise<void>): PlayedStore {
  const { name, endpoint, region, accessKeyId, secretAccessKey } = store;
  const shared = {
    ...{ endpoint, region, accessKeyId, secretAccessKey },
    kill: () => store.killGateway(),
    restart: () => store.restart(),
  };
  return { name, shared, collectGarbage, close: () => store.stop() };
}
