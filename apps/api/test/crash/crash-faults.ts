import type { CrashFault, PlayedStoreName } from './crash-fault.js';
import { REQUEST_FAULTS } from './request-faults.js';
import { SERVER_FAULTS } from './server-faults.js';
import { WORKER_FAULTS } from './worker-faults.js';
import { ZOMBIE_FAULTS } from './zombie-faults.js';

export const CRASH_FAULTS: readonly CrashFault[] = [
  ...WORKER_FAULTS,
  ...ZOMBIE_FAULTS,
  ...SERVER_FAULTS,
  ...REQUEST_FAULTS,
];

export function crashFaultsOn(store: PlayedStoreName): CrashFault[] {
  return CRASH_FAULTS.filter(({ stores }) => stores?.includes(store) ?? true);
}
