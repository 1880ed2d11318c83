import { expect } from '@jest/globals';
import type { CUTS } from '../../src/behaviours/cuts.js';
import { header, type Probe } from '../support/probe.js';
import type { Ending } from '../support/raw-client.js';
import type { Checks } from './checks.js';

export const CUT_CHECKS: Checks<typeof CUTS> = {
  'cut-once-by-fin': (probe) => checkCutOnce(probe, 'fin'),
  'cut-once-by-reset': (probe) => checkCutOnce(probe, 'reset'),
  'cut-every-n-bytes': (probe) => checkCutEvery(probe, 'fin'),
  'reset-every-n-bytes': (probe) => checkCutEvery(probe, 'reset'),
  'length-too-long-by-fin': (probe) => checkLengthTooLong(probe, 'fin'),
  'length-too-long-by-reset': (probe) => checkLengthTooLong(probe, 'reset'),
  'chunked-cut-by-fin': (probe) => checkChunkedCut(probe, 'fin'),
  'chunked-cut-by-reset': (probe) => checkChunkedCut(probe, 'reset'),
  async 'chunked-without-last-chunk'(probe) {
    for (const received of [await probe.get(), await probe.resume(100)]) {
      expect(received).toMatchObject({ status: 200, ending: 'fin' });
      probe.expectChunks(received, 0, 300_000, false);
    }
  },
};

async function checkCutOnce(probe: Probe, ending: Ending): Promise<void> {
  const first = await probe.get();
  expect(first).toMatchObject({ status: 200, ending });
  expect(header(first, 'content-length')).toBe('300000');
  probe.expectPiece(first, 0, 100_000);
  probe.expectPart(await probe.resume(100_000, header(first, 'etag')), 100_000);
}

async function checkCutEvery(probe: Probe, ending: Ending): Promise<void> {
  const first = await probe.get();
  expect(first).toMatchObject({ status: 200, ending });
  probe.expectPiece(first, 0, 100_000);
  const second = await probe.resume(100_000, header(first, 'etag'));
  expect(second).toMatchObject({ status: 206, ending });
  probe.expectPiece(second, 100_000, 200_000);
  probe.expectPart(await probe.resume(200_000, header(first, 'etag')), 200_000);
}

async function checkLengthTooLong(probe: Probe, ending: Ending): Promise<void> {
  const first = await probe.get();
  expect(first).toMatchObject({ status: 200, ending });
  expect(header(first, 'content-length')).toBe('301000');
  probe.expectPiece(first, 0, 300_000);
  const rest = await probe.resume(300_000, header(first, 'etag'));
  expect(rest).toMatchObject({ status: 206, ending });
  expect(rest.body.length).toBe(0);
  expect(header(rest, 'content-range')).toBe('bytes 300000-300999/301000');
}

async function checkChunkedCut(probe: Probe, ending: Ending): Promise<void> {
  const first = await probe.get();
  expect(first).toMatchObject({ status: 200, ending });
  probe.expectChunks(first, 0, 100_000, false);
  const last = await probe.resume(200_000, header(first, 'etag'));
  expect(last).toMatchObject({ status: 206, ending: 'fin' });
  probe.expectChunks(last, 200_000, 300_000, true);
}
