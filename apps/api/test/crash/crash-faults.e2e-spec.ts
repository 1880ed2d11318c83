import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { CrashStage } from '@s3-transfer/crash-stage';
import { verifyInvariants } from '../support/verify-invariants.js';
import { expectEnding } from './crash-ending.js';
import type { CrashFault, PlayedStoreName } from './crash-fault.js';
import { crashFaultsOn } from './crash-faults.js';
import { CrashPlay } from './crash-play.js';
import { CrashProduct } from './crash-product.js';
import { type PlayedStore, playedStoreName, startPlayedStore } from './played-store.js';

/** Most of a row's time is that of a lease, which needs no processor; a real server needs one. */
const STAGES = playedStoreName() === 'local-s3' ? 3 : 2;
/** Waiting for a stage included, on a machine that has much else to do. */
const TIME_LIMIT_MS = 20 * 60_000;

/** Beside a real server, and whatever runs next to it, an owner is not always heard of in time: that is no death of a poisoned one. */
const PATIENT = { TRANSFER_LEASE_SECONDS: '6', TRANSFER_MAX_CRASHES: '100' };
const PATIENCE: Partial<Record<PlayedStoreName, Readonly<Record<string, string>>>> = { swift: PATIENT, ceph: PATIENT };

let store: PlayedStore;
const products: CrashProduct[] = [];
const free: CrashProduct[] = [];
const waiting: ((product: CrashProduct) => void)[] = [];

async function open(variables: Readonly<Record<string, string>> = {}): Promise<CrashProduct> {
  const stage = await CrashStage.open(store.shared === undefined ? {} : { store: store.shared });
  const product = await CrashProduct.start(stage, { S3_STORE: store.name, ...PATIENCE[store.name], ...variables });
  products.push(product);
  return product;
}

beforeAll(async () => {
  store = await startPlayedStore();
  free.push(...(await Promise.all(Array.from({ length: STAGES }, () => open()))));
}, TIME_LIMIT_MS);

afterAll(async () => {
  for (const product of products) {
    await product.close();
    await product.stage.close();
  }
  await store.close();
}, TIME_LIMIT_MS);

describe(`whatever dies, the transfer ends as the table says, on ${playedStoreName()}`, () => {
  const faults = crashFaultsOn(playedStoreName());
  const isAlone = ({ isStoreKilled = false }: CrashFault) => isStoreKilled && playedStoreName() !== 'local-s3';
  const titled = (rows: readonly CrashFault[]) =>
    rows.map((row) => [`${row.fault} when ${row.instant}: ${row.ending}`, row] as const);

  it.concurrent.each(titled(faults.filter((row) => !isAlone(row))))('%s', (_title, row) => playRow(row), TIME_LIMIT_MS);

  const alone = titled(faults.filter(isAlone));
  if (alone.length > 0) it.each(alone)('%s', (_title, row) => playRow(row), TIME_LIMIT_MS);

  it(
    'every object is whole when all is over, also those that the store might have taken for garbage',
    async () => {
      await store.collectGarbage();
      for (const { client } of products) await verifyInvariants(client);
    },
    TIME_LIMIT_MS,
  );
});

async function playRow(row: CrashFault): Promise<void> {
  const { leaseSeconds } = row;
  if (leaseSeconds !== undefined)
    return await playOn(await open({ TRANSFER_LEASE_SECONDS: String(leaseSeconds) }), row);
  const product = free.pop() ?? (await new Promise<CrashProduct>((resolve) => waiting.push(resolve)));
  try {
    await playOn(product, row);
  } finally {
    const next = waiting.shift();
    if (next === undefined) free.push(product);
    else next(product);
  }
}

async function playOn(product: CrashProduct, row: CrashFault): Promise<void> {
  const play = new CrashPlay(product, await product.stage.createWorkspace(), row.sizeBytes);
  try {
    await row.play(play);
    await expectEnding(play, row);
  } catch (error) {
    const explained = await play.explain(error);
    play.letGo();
    await play.wipe();
    throw explained;
  } finally {
    play.letGo();
    await product.mend();
  }
}
