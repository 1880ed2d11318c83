import type { Behaviour } from './behaviour.js';
import { CODINGS } from './behaviours/codings.js';
import { CUTS } from './behaviours/cuts.js';
import { HEADS } from './behaviours/heads.js';
import { HONEST } from './behaviours/honest.js';
import { LENGTHS } from './behaviours/lengths.js';
import { LIMITS } from './behaviours/limits.js';
import { RANGES } from './behaviours/ranges.js';
import { REDIRECTS } from './behaviours/redirects.js';
import { STALLS } from './behaviours/stalls.js';
import { STATUSES } from './behaviours/statuses.js';
import { TLS } from './behaviours/tls.js';
import { VALIDATORS } from './behaviours/validators.js';

/** Every behaviour by the name that stands first in its URL's path. */
export const BEHAVIOURS = {
  ...HONEST,
  ...LENGTHS,
  ...CUTS,
  ...STALLS,
  ...RANGES,
  ...VALIDATORS,
  ...REDIRECTS,
  ...HEADS,
  ...CODINGS,
  ...STATUSES,
  ...LIMITS,
  ...TLS,
} as const satisfies Record<string, Behaviour>;

export type BehaviourName = keyof typeof BEHAVIOURS;

export const BEHAVIOUR_NAMES = Object.keys(BEHAVIOURS) as BehaviourName[];

export function isBehaviourName(name: string): name is BehaviourName {
  return Object.hasOwn(BEHAVIOURS, name);
}
