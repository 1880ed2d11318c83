import type { ContractCase } from '../contract.js';
import { CHECKSUM_CASES } from './checksums.js';
import { KEY_CASES } from './keys.js';
import { MULTIPART_CASES } from './multipart.js';
import { OBJECT_CASES } from './objects.js';
import { PRECONDITION_CASES } from './preconditions.js';
import { RANGE_CASES } from './ranges.js';

/** Every case, area by area, in the order in which they run. */
export const ALL_CASES: readonly ContractCase[] = [
  ...OBJECT_CASES,
  ...KEY_CASES,
  ...RANGE_CASES,
  ...PRECONDITION_CASES,
  ...CHECKSUM_CASES,
  ...MULTIPART_CASES,
];
