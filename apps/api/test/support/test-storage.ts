import { randomUUID } from 'node:crypto';
import { CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import type { Type } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import { ENVIRONMENT, readEnvironment } from '../../src/config/env.js';
import { EnvironmentModule } from '../../src/config/env.module.js';
import { FileTransferService } from '../../src/storage/file-transfer.service.js';
import { S3Service } from '../../src/storage/s3.service.js';
import { StorageModule } from '../../src/storage/storage.module.js';
import { StorageFileRepository } from '../../src/storage/storage-file.repository.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { startTestStore, type TestStore } from './test-store.js';
import { TEST_JWT_SECRET } from './test-token.js';

export interface TestStorage {
  readonly database: TestDatabase;
  readonly bucket: string;
  readonly transfers: FileTransferService;
  readonly s3: S3Service;
  readonly files: StorageFileRepository;
  /** Any provider of StorageModule, exported or not. */
  get<Provider>(type: Type<Provider>): Provider;
  readonly store: TestStore;
  /** Begins a multipart upload with one part ("hello"), as an owner that died leaves it. */
  beginUpload(path: string, token?: string): Promise<string>;
  /** A TRANSFERRING row whose lease ran out in its first try; `completing` when Complete was sent by then. */
  insertAbandoned(row: AbandonedRow): Promise<void>;
  stop(): Promise<void>;
}

export interface AbandonedRow {
  id?: string;
  workspaceId: string;
  path: string;
  sourceUrl: string;
  uploadId: string;
  completing?: { size: number; sha256: string };
}

/**
 * StorageModule on a database and a store of its own, or those given, which end with it; with small parts, short limits
 * and sources allowed on loopback.
 */
export async function startTestStorage(
  variables: Record<string, string> = {},
  ownDatabase?: TestDatabase,
  ownStore?: TestStore,
): Promise<TestStorage> {
  const database = ownDatabase ?? (await createTestDatabase());
  const store = ownStore ?? (await startTestStore());
  const environment = readEnvironment({
    DATABASE_URL: database.url,
    AUTH_JWT_SECRET: TEST_JWT_SECRET,
    ...store.variables,
    S3_PART_SIZE_BYTES: String(5 * 1024 * 1024),
    S3_RETRY_DELAY_MS: '5',
    SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
    SOURCE_HEADERS_TIMEOUT_MS: '1000',
    SOURCE_STALL_TIMEOUT_MS: '1000',
    TRANSFER_LEASE_SECONDS: '3',
    TRANSFER_SLOW_BYTES_PER_SECOND: '0', // Sources that are held make nobody wait longer.
    PURGE_INTERVAL_SECONDS: '86400', // Tests run its rounds themselves.
    TRANSFER_WORKER: 'own',
    TRANSFER_MAX_ATTEMPTS: '1', // The first failure is what they look at.
    ...variables,
  });
  const app = await Test.createTestingModule({ imports: [ConfigModule.forRoot(), EnvironmentModule, StorageModule] })
    .overrideProvider(ENVIRONMENT)
    .useValue(environment)
    .compile();
  await app.init();
  const bucket = store.variables.S3_BUCKET;
  const client = store.createClient();
  return {
    database,
    bucket,
    transfers: app.get(FileTransferService),
    s3: app.get(S3Service),
    files: app.get(StorageFileRepository),
    get: (type) => app.get(type, { strict: false }),
    store,
    async beginUpload(path, token = 'none') {
      const place = { Bucket: bucket, Key: path };
      const create = new CreateMultipartUploadCommand({ ...place, Metadata: { 'transfer-token': token } });
      const { UploadId } = await client.send(create);
      await client.send(new UploadPartCommand({ ...place, UploadId, PartNumber: 1, Body: Buffer.from('hello') }));
      return UploadId ?? '';
    },
    async insertAbandoned({ id = randomUUID(), workspaceId, path, sourceUrl, uploadId, completing }) {
      await database.query(
        `INSERT INTO core_storage_file
           (id, workspace_id, type, path, bucket, source_url, transfer_status, attempts, lease_token, lease_until,
            upload_id, completing, size, sha256)
         VALUES ($1, $2, 'recording-video', $3, $4, $5, 'TRANSFERRING', 1, gen_random_uuid(), now() - interval '1 second',
            $6, $7, $8, $9)`,
        [
          id,
          workspaceId,
          path,
          bucket,
          sourceUrl,
          uploadId,
          completing !== undefined,
          completing?.size,
          completing?.sha256,
        ],
      );
    },
    async stop() {
      client.destroy();
      await app.close();
      await store.stop();
      await database.drop();
    },
  };
}
