import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { CrashStage } from '@s3-transfer/crash-stage';
import { expectEnding } from './crash-ending.js';
import type { CrashFault } from './crash-fault.js';
import { CRASH_FAULTS } from './crash-faults.js';
import { CrashPlay } from './crash-play.js';
import { CrashProduct } from './crash-product.js';

/** Most of a row's time is that of a lease, which needs no processor. */
const STAGES = 3;
/** Waiting for a stage included, on a machine that has much else to do. */
const TIME_LIMIT_MS = 20 * 60_000;

const products: CrashProduct[] = [];
const free: CrashProduct[] = [];
const waiting: ((product: CrashProduct) => void)[] = [];

async function open(variables: Readonly<Record<string, string>> = {}): Promise<CrashProduct> {
  const product = await CrashProduct.start(await CrashStage.open(), variables);
  products.push(product);
  return product;
}

beforeAll(async () => {
  free.push(...(await Promise.all(Array.from({ length: STAGES }, () => open()))));
}, TIME_LIMIT_MS);

afterAll(async () => {
  for (const product of products) {
    await product.close();
    await product.stage.close();
  }
}, TIME_LIMIT_MS);

describe('whatever dies, the transfer ends as the table says', () => {
  const rows = CRASH_FAULTS.map((row) => [`${row.fault} when ${row.instant}: ${row.ending}`, row] as const);
  it.concurrent.each(rows)('%s', (_title, row) => playRow(row), TIME_LIMIT_MS);
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
