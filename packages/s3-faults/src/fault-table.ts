import { CONNECTION_FAULTS } from './faults/connection-faults.js';

/** Every fault by its name in rules. */
export const FAULTS = { ...CONNECTION_FAULTS } as const;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];
