export { CrashStage, type CrashStageOptions } from './crash-stage.js';
export { CHUNK_BYTES, PacedFile, PacedSource, type SourceRequest } from './paced-source.js';
export { ProductProcess, type ProductProcessOptions } from './product-process.js';
export { LEASE_MS, PART_SIZE_BYTES, PRODUCT_VARIABLES, QUEUE_SIZE } from './product-variables.js';
export { RowLock } from './row-lock.js';
export type { StageStore } from './stage-store.js';
