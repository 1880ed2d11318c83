import type { ContractCase } from '../contract.js';
import { CHECKSUM_CASES } from './checksums.js';
import { CLOCK_CASES } from './clock.js';
import { COPY_CASES } from './copy.js';
import { CORS_CASES } from './cors.js';
import { CRASH_CASES } from './crash.js';
import { ERROR_CASES } from './errors.js';
import { KEY_CASES } from './keys.js';
import { LIFECYCLE_CASES } from './lifecycle.js';
import { LISTING_CASES } from './listing.js';
import { MULTIPART_CASES } from './multipart.js';
import { OBJECT_CASES } from './objects.js';
import { OWN_CASES } from './own.js';
import { PRECONDITION_CASES } from './preconditions.js';
import { PRESIGNED_CASES } from './presigned.js';
import { RANGE_CASES } from './ranges.js';

/** Every case, area by area, in the order in which they run. */
export const ALL_CASES: readonly ContractCase[] = [
  ...OBJECT_CASES,
  ...KEY_CASES,
  ...RANGE_CASES,
  ...PRECONDITION_CASES,
  ...CHECKSUM_CASES,
  ...MULTIPART_CASES,
  ...PRESIGNED_CASES,
  ...CORS_CASES,
  ...LIFECYCLE_CASES,
  ...LISTING_CASES,
  ...COPY_CASES,
  ...ERROR_CASES,
  ...CLOCK_CASES,
  ...OWN_CASES,
  ...CRASH_CASES,
];
