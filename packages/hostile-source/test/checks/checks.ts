import type { Probe } from '../support/probe.js';

/** One check for each behaviour of a group: a new behaviour without one does not compile, and fails the suite. */
export type Checks<Group> = Readonly<Record<keyof Group, (probe: Probe) => Promise<unknown>>>;
