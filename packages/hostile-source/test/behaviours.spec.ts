import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  BEHAVIOUR_NAMES,
  BEHAVIOURS,
  type BehaviourName,
  type HostileSource,
  startHostileSource,
} from '../src/index.js';
import type { Checks } from './checks/checks.js';
import { CUT_CHECKS } from './checks/cuts.js';
import { HONEST_CHECKS } from './checks/honest.js';
import { Probe } from './support/probe.js';

const CHECKS: Checks<typeof BEHAVIOURS> = { ...HONEST_CHECKS, ...CUT_CHECKS };

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
});
