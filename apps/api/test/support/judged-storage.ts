import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { StorageFile } from '../../src/storage/storage-file.repository.js';
import { openStoreWay, type StoreWay } from './store-way.js';
import { startTestStorage, type TestStorage } from './test-storage.js';
import { startTestStore } from './test-store.js';

/** Storage whose rows and bucket are brought out of step, one workspace a test, for those who have to find it. */
export class JudgedStorage {
  private workspaceId = '';

  private constructor(
    readonly storage: TestStorage,
    /** Past the way. */
    readonly s3: S3Client,
    readonly way: StoreWay,
  ) {}

  static async start(): Promise<JudgedStorage> {
    const store = await startTestStore();
    const way = await openStoreWay(() => store.variables.S3_ENDPOINT);
    const storage = await startTestStorage({ S3_ENDPOINT: way.endpoint }, undefined, store);
    return new JudgedStorage(storage, store.createClient(), way);
  }

  async stop(): Promise<void> {
    this.s3.destroy();
    await this.storage.stop();
    this.way.close();
  }

  /** Resolves to the id of the workspace that paths and files belong to from now on. */
  async begin(): Promise<string> {
    this.workspaceId = await this.storage.database.createWorkspace();
    return this.workspaceId;
  }

  /** Of what the test before made. */
  async empty(): Promise<void> {
    this.way.reset();
    await this.query('TRUNCATE core_workspace CASCADE');
    await this.query('TRUNCATE core_storage_purge, core_outbox_event');
    const { objects, uploads } = await this.listBucket();
    const Bucket = this.storage.bucket;
    for (const Key of objects) await this.removeObject(Key);
    for (const [Key, UploadId] of uploads) {
      await this.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    }
  }

  query(sql: string, parameters: unknown[] = []): Promise<{ id: string }[]> {
    return this.storage.database.query<{ id: string }>(sql, parameters);
  }

  newPath(): string {
    return `recordings/${this.workspaceId}/${randomUUID()}.mp4`;
  }

  async storeFile(file: { bytes?: Buffer; path?: string } = {}): Promise<StorageFile> {
    const { bytes = Buffer.from('hello'), path = this.newPath() } = file;
    const { workspaceId } = this;
    const body = Readable.from([bytes]);
    return await this.storage.transfers.createFromStream({ body, workspaceId, path, type: 'avatar' });
  }

  async putObject(path: string, token?: string, Body: Buffer | string = 'hello'): Promise<void> {
    const Metadata: Record<string, string> = token === undefined ? {} : { 'transfer-token': token };
    await this.s3.send(new PutObjectCommand({ Bucket: this.storage.bucket, Key: path, Body, Metadata }));
  }

  async removeObject(path: string): Promise<void> {
    await this.s3.send(new DeleteObjectCommand({ Bucket: this.storage.bucket, Key: path }));
  }

  async listBucket(): Promise<{ objects: string[]; uploads: [key: string, uploadId: string][] }> {
    const place = { Bucket: this.storage.bucket };
    const { Contents = [] } = await this.s3.send(new ListObjectsV2Command(place));
    const { Uploads = [] } = await this.s3.send(new ListMultipartUploadsCommand(place));
    return {
      objects: Contents.map(({ Key = '' }) => Key),
      uploads: Uploads.map(({ Key = '', UploadId = '' }) => [Key, UploadId]),
    };
  }
}
