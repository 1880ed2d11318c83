import { randomUUID } from 'node:crypto';
import type { Provider } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { EventEmitterModule } from '@nestjs/event-emitter';
import { Test, type TestingModule } from '@nestjs/testing';
import { ENVIRONMENT, readEnvironment } from '../../src/config/env.js';
import { EnvironmentModule } from '../../src/config/env.module.js';
import { EventsModule } from '../../src/storage/events/events.module.js';
import { GuardedPost } from '../../src/storage/source/guarded-post.js';
import type { SourceSeams } from '../../src/storage/source/source-reader.js';
import { STORAGE_OPTIONS, type StorageOptions, toStorageOptions } from '../../src/storage/storage.options.js';
import type { TestDatabase } from './test-database.js';
import { TEST_ENCRYPTION_KEY, TEST_JWT_SECRET } from './test-token.js';

export interface TestEvents {
  readonly database: TestDatabase;
  readonly providers?: Provider[];
  readonly leaseMs?: number;
  readonly variables?: Record<string, string>;
  readonly source?: Partial<StorageOptions['source']>;
  readonly seams?: SourceSeams;
}

/** EventsModule with listeners, as one process of the product has it; no store is asked. */
export async function startTestEvents(events: TestEvents): Promise<TestingModule> {
  const { database, providers = [], leaseMs = 30_000, variables = {}, source = {}, seams = {} } = events;
  const environment = readEnvironment({
    DATABASE_URL: database.url,
    AUTH_JWT_SECRET: TEST_JWT_SECRET,
    DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
    S3_ENDPOINT: 'http://127.0.0.1:9',
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'test-bucket',
    EVENT_POLL_MS: '20',
    ...variables,
  });
  const options = toStorageOptions(environment);
  const post = new GuardedPost({ ...options, source: { ...options.source, ...source } }, seams);
  const app = await Test.createTestingModule({
    imports: [ConfigModule.forRoot(), EnvironmentModule, EventEmitterModule.forRoot(), EventsModule],
    providers,
  })
    .overrideProvider(ENVIRONMENT)
    .useValue(environment)
    .overrideProvider(STORAGE_OPTIONS)
    .useValue({ ...options, leaseMs })
    .overrideProvider(GuardedPost)
    .useValue(post)
    .compile();
  app.useLogger(false);
  return await app.init();
}

export interface OutboxRow {
  attempts: number;
  lastError: string | null;
  dispatchedAt: Date | null;
  givenUpAt: Date | null;
  /** Milliseconds until it is due, by the database's clock. */
  dueInMs: number;
}

/** Events as a committed transaction leaves them, and what becomes of them. */
export function openOutbox(database: TestDatabase) {
  return {
    async insert(type: string, payload: object = {}, workspaceId: string = randomUUID()): Promise<string> {
      const rows = await database.query<{ id: string }>(
        `INSERT INTO core_outbox_event (type, workspace_id, subject_id, payload)
         VALUES ($1, $2, gen_random_uuid(), $3) RETURNING id`,
        [type, workspaceId, JSON.stringify(payload)],
      );
      return rows[0]?.id ?? '';
    },
    async read(id: string): Promise<OutboxRow> {
      const [row] = await database.query<OutboxRow>(
        `SELECT attempts, last_error AS "lastError", dispatched_at AS "dispatchedAt", given_up_at AS "givenUpAt",
           (extract(epoch FROM next_attempt_at - now()) * 1000)::float8 AS "dueInMs"
         FROM core_outbox_event WHERE id = $1`,
        [id],
      );
      if (row === undefined) throw new Error(`there is no event ${id}`);
      return row;
    },
  };
}
