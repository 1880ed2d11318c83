import { COMPLETE_FAULTS } from './faults/complete-faults.js';
import { CONNECTION_FAULTS } from './faults/connection-faults.js';
import { OBJECT_FAULTS } from './faults/object-faults.js';
import { REFUSAL_FAULTS } from './faults/refusal-faults.js';
import { UPLOAD_FAULTS } from './faults/upload-faults.js';

/** Every fault by its name in rules. */
export const FAULTS = {
  ...CONNECTION_FAULTS,
  ...REFUSAL_FAULTS,
  ...UPLOAD_FAULTS,
  ...COMPLETE_FAULTS,
  ...OBJECT_FAULTS,
} as const;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];
