export type { S3Call } from './call-log.js';
export type { UploadAddress } from './exchange.js';
export { type S3FaultProxy, type S3FaultProxyOptions, startS3FaultProxy } from './fault-proxy.js';
export type { FaultRule, InjectedRule } from './fault-rules.js';
export { FAULT_NAMES, FAULTS, type FaultName } from './fault-table.js';
export type { Fault, FaultParameters } from './faults/fault.js';
export { recogniseS3Request, S3_OPERATIONS, type S3Operation, type S3Request } from './s3-operation.js';
