import type { Behaviour } from './behaviour.js';
import { CUTS } from './behaviours/cuts.js';
import { HONEST } from './behaviours/honest.js';

/** Every behaviour by the name that stands first in its URL's path. */
export const BEHAVIOURS = { ...HONEST, ...CUTS } as const satisfies Record<string, Behaviour>;

export type BehaviourName = keyof typeof BEHAVIOURS;

export const BEHAVIOUR_NAMES = Object.keys(BEHAVIOURS) as BehaviourName[];

export function isBehaviourName(name: string): name is BehaviourName {
  return Object.hasOwn(BEHAVIOURS, name);
}
