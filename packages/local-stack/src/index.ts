export { type LocalPostgres, type PostgresOptions, startPostgres } from './postgres/start-postgres.js';
export type { LocalStackS3 } from './s3/start-s3.js';
export { type SampleSource, startSampleSource } from './sample/start-sample-source.js';
export { type LocalStack, type LocalStackOptions, startLocalStack } from './start-local-stack.js';
