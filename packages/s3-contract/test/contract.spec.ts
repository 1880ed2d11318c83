import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ContractRun } from '../src/contract-run.js';
import { ALL_CASES, type OwnStore, startOwnStore } from '../src/index.js';

let store: OwnStore;
let run: ContractRun;
beforeAll(async () => {
  store = await startOwnStore();
  run = new ContractRun(store);
});
afterAll(async () => {
  await run.close();
  await store.close();
});

describe.each([...new Set(ALL_CASES.map(({ area }) => area))])('%s', (area) => {
  const cases = ALL_CASES.filter((candidate) => candidate.area === area);
  it.each(cases)('$id: $title', async (contractCase) => {
    // Nothing is skipped here: local-s3 offers whatever a case can need.
    expect(await run.run(contractCase)).toEqual({
      id: contractCase.id,
      area,
      title: contractCase.title,
      outcome: 'ok',
      ms: expect.any(Number),
    });
  });
});
