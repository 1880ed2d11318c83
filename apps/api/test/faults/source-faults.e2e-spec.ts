import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BEHAVIOUR_NAMES, fileOf } from '@s3-transfer/hostile-source';
import { FaultStages } from './fault-stage.js';
import { requestOf, SOURCE_FAULTS, type SourceFault } from './source-faults.js';
import { digestOf, playTransfer } from './transfer-ending.js';

const TRUSTED_BEFORE = getCACertificates('default');

let stages: FaultStages;

beforeAll(async () => {
  stages = await FaultStages.open(4);
  // As NODE_EXTRA_CA_CERTS would, which works at the start of a process alone. Certificates are checked all the same.
  setDefaultCACertificates([...TRUSTED_BEFORE, ...stages.all.map(({ source }) => source.certificate)]);
});

afterAll(async () => {
  setDefaultCACertificates(TRUSTED_BEFORE);
  await stages.close();
});

it('has every behaviour of a source in its table', () => {
  expect(new Set(SOURCE_FAULTS.map(({ behaviour }) => behaviour))).toEqual(new Set(BEHAVIOUR_NAMES));
});

describe('a transfer ends as the table says when a source behaves so', () => {
  it.concurrent.each(SOURCE_FAULTS.map((row) => [titleOf(row), row] as const))('%s', async (_title, row) => {
    await stages.lend(async (stage) => {
      const { behaviour, parameters, ending, variables } = row;
      const sourceUrl = stage.source.urlOf(behaviour, parameters);
      const file = fileOf(sourceUrl);
      const request = { ...requestOf(row, file), sourceUrl };
      await playTransfer(stage, { request, variables, ending, content: digestOf(row.content(file)) });
    });
  });
});

function titleOf({ behaviour, parameters, given, ending }: SourceFault): string {
  const details = [...Object.entries(parameters).map(([name, value]) => `${name} ${value}`), ...given];
  return `${[behaviour, ...details].join(', ')}: ${ending}`;
}
