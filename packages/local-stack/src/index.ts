export { type LocalPostgres, type PostgresOptions, startPostgres } from './postgres/start-postgres.js';
export { type SampleSource, startSampleSource } from './sample/start-sample-source.js';
