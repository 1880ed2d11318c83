export { type ApplyMigrationsOptions, applyMigrations, markRolledBack } from './apply-migrations.js';
export { type FindDriftOptions, findDrift } from './find-drift.js';
