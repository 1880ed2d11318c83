import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { CrashStage } from '@s3-transfer/crash-stage';
import { expectEnding } from './crash-ending.js';
import type { CrashFault } from './crash-fault.js';
import { CRASH_FAULTS } from './crash-faults.js';
import { CrashPlay } from './crash-play.js';
import { CrashProduct } from './crash-product.js';

/** Most of a row's time is that of a lease, which needs no processor. */
const STAGES = 3;
/** Waiting for a stage included. */
const TIME_LIMIT_MS = 400_000;

const products: CrashProduct[] = [];
const free: CrashProduct[] = [];
const waiting: ((product: CrashProduct) => void)[] = [];

beforeAll(async () => {
  const opened = Array.from({ length: STAGES }, async () => CrashProduct.start(await CrashStage.open()));
  products.push(...(await Promise.all(opened)));
  free.push(...products);
}, 60_000);

afterAll(async () => {
  for (const product of products) {
    await product.close();
    await product.stage.close();
  }
}, 60_000);

describe('whatever dies, the transfer ends as the table says', () => {
  const rows = CRASH_FAULTS.map((row) => [`${row.fault} when ${row.instant}: ${row.ending}`, row] as const);
  it.concurrent.each(rows)('%s', (_title, row) => playRow(row), TIME_LIMIT_MS);
});

async function playRow(row: CrashFault): Promise<void> {
  const product = free.pop() ?? (await new Promise<CrashProduct>((resolve) => waiting.push(resolve)));
  try {
    const play = new CrashPlay(product, await product.stage.createWorkspace(), row.sizeBytes);
    try {
      await row.play(play);
      await expectEnding(play, row);
    } catch (error) {
      throw await play.explain(error);
    } finally {
      play.letGo();
      await product.mend();
    }
  } finally {
    const next = waiting.shift();
    if (next === undefined) free.push(product);
    else next(product);
  }
}
