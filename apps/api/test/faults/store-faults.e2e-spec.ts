import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contentRange } from '@s3-transfer/hostile-source';
import { FAULT_NAMES } from '@s3-transfer/s3-faults';
import { FaultStages, isStoreReal } from './fault-stage.js';
import { isOfComplete, rulesOf, STORE_FAULTS, type StoreFault } from './store-faults.js';
import { digestOf, type FileDigest, playTransfer } from './transfer-ending.js';

/** Waiting for a stage included: a real server takes its time, and has little of the machine. */
const TIME_LIMIT_MS = 120_000;

let stages: FaultStages;
const contents = new Map<number, FileDigest>();

beforeAll(async () => {
  stages = await FaultStages.open(4);
});

afterAll(() => stages.close());

it('has every fault of a store in its table', () => {
  expect(new Set(STORE_FAULTS.map(({ fault }) => fault))).toEqual(new Set(FAULT_NAMES));
});

describe('a transfer ends as the table says when a store has the fault', () => {
  const rows = isStoreReal() ? STORE_FAULTS.filter(isOfComplete) : STORE_FAULTS;
  const play = async (_title: string, row: StoreFault) => {
    await stages.lend(async (stage) => {
      const { sizeBytes, ending, variables } = row;
      for (const rule of rulesOf(row)) stage.way.inject(rule);
      const sourceUrl = stage.source.urlOf('honest-etag', { sizeBytes });
      const content = contentOf(sizeBytes);
      await playTransfer(stage, { request: { sourceUrl }, variables, ending, content });
    });
  };
  it.concurrent.each(rows.map((row) => [titleOf(row), row] as const))('%s', play, TIME_LIMIT_MS);
});

function titleOf({ fault, calls, parameters, sizeBytes, ending }: StoreFault): string {
  const given = Object.entries(parameters).map(([name, value]) => `, ${name} ${value}`);
  return `${fault} at the ${calls} of ${sizeBytes} bytes${given.join('')}: ${ending}`;
}

/** Made once for each of the few sizes. */
function contentOf(sizeBytes: number): FileDigest {
  const content = contents.get(sizeBytes) ?? digestOf(contentRange({ sizeBytes, seed: 1 }, 0, sizeBytes));
  contents.set(sizeBytes, content);
  return content;
}
