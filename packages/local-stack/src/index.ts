export { type LocalPostgres, type PostgresOptions, startPostgres } from './postgres/start-postgres.js';
