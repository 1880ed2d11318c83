import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  BEHAVIOUR_NAMES,
  BEHAVIOURS,
  type BehaviourName,
  type HostileSource,
  startHostileSource,
} from '../src/index.js';
import type { Checks } from './checks/checks.js';
import { CODING_CHECKS } from './checks/codings.js';
import { CUT_CHECKS } from './checks/cuts.js';
import { HEAD_CHECKS } from './checks/heads.js';
import { HONEST_CHECKS } from './checks/honest.js';
import { LENGTH_CHECKS } from './checks/lengths.js';
import { LIMIT_CHECKS } from './checks/limits.js';
import { RANGE_CHECKS } from './checks/ranges.js';
import { REDIRECT_CHECKS } from './checks/redirects.js';
import { STALL_CHECKS } from './checks/stalls.js';
import { STATUS_CHECKS } from './checks/statuses.js';
import { TLS_CHECKS } from './checks/tls.js';
import { VALIDATOR_CHECKS } from './checks/validators.js';
import { Probe } from './support/probe.js';

const CHECKS: Checks<typeof BEHAVIOURS> = {
  ...CODING_CHECKS,
  ...CUT_CHECKS,
  ...HEAD_CHECKS,
  ...HONEST_CHECKS,
  ...LENGTH_CHECKS,
  ...LIMIT_CHECKS,
  ...RANGE_CHECKS,
  ...REDIRECT_CHECKS,
  ...STALL_CHECKS,
  ...STATUS_CHECKS,
  ...TLS_CHECKS,
  ...VALIDATOR_CHECKS,
};

let source: HostileSource;
beforeAll(async () => {
  source = await startHostileSource();
});
afterAll(() => source.close());

describe('behaviours', () => {
  it('has a check for each', () => {
    expect(Object.keys(CHECKS).sort()).toEqual([...BEHAVIOUR_NAMES].sort());
  });

  it.each(BEHAVIOUR_NAMES.map((name): [BehaviourName, string] => [name, BEHAVIOURS[name].title]))(
    '%s: %s',
    async (name) => {
      await CHECKS[name](new Probe(source, name));
    },
  );

  const bodies = Object.keys({ ...CUT_CHECKS, ...LENGTH_CHECKS, ...STALL_CHECKS }) as BehaviourName[];
  it.each(bodies)('%s does the same over TLS', async (name) => {
    await CHECKS[name](new Probe(source, name, {}, 'https'));
  });
});
