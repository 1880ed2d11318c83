export { CrashStage, type CrashStageOptions } from './crash-stage.js';
export { PacedFile, PacedSource, type SourceRequest } from './paced-source.js';
export { ProductProcess, type ProductProcessOptions } from './product-process.js';
export { RowLock } from './row-lock.js';
export type { StageStore } from './stage-store.js';
