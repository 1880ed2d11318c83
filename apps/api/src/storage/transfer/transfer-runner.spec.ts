import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { PurgeWorker } from '../cleanup/purge-worker.js';
import { StorageError } from '../storage.errors.js';
import type { StorageFile } from '../storage-file.repository.js';

const PART_BYTES = 5 * 1024 * 1024;
const BODY = randomBytes(2 * PART_BYTES + 1_000);

let storage: TestStorage;
let workspaceId: string;
let source: Server;
let asked: IncomingMessage[];
/** Of the bytes asked for, how many come before the source falls silent. */
let sentBytes: number;

beforeAll(async () => {
  storage = await startTestStorage({
    TRANSFER_MAX_ATTEMPTS: '2',
    TRANSFER_RETRY_DELAY_SECONDS: '1',
    SOURCE_MAX_RETRIES: '0',
    SOURCE_MAX_CONNECTIONS: '1',
  });
  workspaceId = await storage.database.createWorkspace();
});

afterAll(() => storage.stop());

beforeEach(async () => {
  asked = [];
  sentBytes = Number.POSITIVE_INFINITY;
  source = createServer((request, response) => {
    asked.push(request);
    send(request, response);
  });
  await new Promise<void>((resolve) => source.listen(0, '127.0.0.1', resolve));
});

afterEach(() => {
  source.closeAllConnections();
  source.close();
});

/** A file of one version, of which ranges can be had. */
function send({ headers }: IncomingMessage, response: ServerResponse): void {
  const from = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
  response.writeHead(headers.range === undefined ? 200 : 206, {
    etag: '"version-1"',
    'accept-ranges': 'bytes',
    'content-length': BODY.length - from,
    ...(headers.range === undefined ? {} : { 'content-range': `bytes ${from}-${BODY.length - 1}/${BODY.length}` }),
  });
  const bytes = BODY.subarray(from, from + sentBytes);
  if (bytes.length === BODY.length - from) response.end(bytes);
  else response.write(bytes);
}

/** Begins a transfer of which as many bytes come, and gives its row when two parts of it are stored. */
async function startHalf(bytes: number): Promise<{ outcome: Promise<StorageFile | StorageError>; file: StorageFile }> {
  sentBytes = bytes;
  const { port } = source.address() as AddressInfo;
  const path = `imports/${workspaceId}/${randomUUID()}.bin`;
  const sourceUrl = `http://127.0.0.1:${port}/video.mp4`;
  const outcome = storage.transfers
    .createAndTransfer({ sourceUrl, workspaceId, path, type: 'import' })
    .catch((error: StorageError) => error);
  for (;;) {
    const file = await storage.files.findByPath({ workspaceId, bucket: storage.bucket, path });
    if (file !== null && (await countParts(file)) === 2) return { outcome, file };
    await sleep(10);
  }
}

async function countParts({ id }: StorageFile): Promise<number> {
  const rows = await storage.database.query('SELECT number FROM core_storage_part WHERE file_id = $1', [id]);
  return rows.length;
}

async function countUploads({ path }: StorageFile): Promise<number> {
  const client = storage.store.createClient();
  const list = new ListMultipartUploadsCommand({ Bucket: storage.bucket, Prefix: path });
  const { Uploads = [] } = await client.send(list).finally(() => client.destroy());
  return Uploads.length;
}

describe('a try that ends with two parts stored', () => {
  it('leaves them to the next one, which reads the rest, and then all of the object back', async () => {
    const { outcome } = await startHalf(2 * PART_BYTES + 500);
    sentBytes = Number.POSITIVE_INFINITY;
    expect(await outcome).toMatchObject({
      transferStatus: 'DONE',
      attempts: 2,
      size: BigInt(BODY.length),
      sha256: createHash('sha256').update(BODY).digest('hex'),
      sha256Origin: 'STORED',
    });
    expect(asked.map(({ headers }) => headers.range)).toEqual([undefined, `bytes=${2 * PART_BYTES}-`]);
  });

  it('leaves none when the transfer was cancelled', async () => {
    const { outcome, file } = await startHalf(2 * PART_BYTES + 500);
    expect(await storage.transfers.cancelTransfer(file)).toMatchObject({ transferStatus: 'FAILED', uploadId: null });
    expect(await outcome).toBeInstanceOf(StorageError);
    expect(await countUploads(file)).toBe(0);
    expect(await countParts(file)).toBe(0);
  });
});

describe('a transfer that ends its process each time', () => {
  it('is given up with all that it left, and goes on when somebody asks for it again', async () => {
    const path = `imports/${workspaceId}/${randomUUID()}.bin`;
    const uploadId = await storage.beginUpload(path);
    const { port } = source.address() as AddressInfo;
    const sourceUrl = `http://127.0.0.1:${port}/video.mp4`;
    await storage.insertAbandoned({ workspaceId, path, sourceUrl, uploadId });
    await storage.database.query('UPDATE core_storage_file SET crashes = 4 WHERE path = $1', [path]);
    const request = { sourceUrl, workspaceId, path, type: 'recording-video' };

    await expect(storage.transfers.createAndTransfer(request)).rejects.toMatchObject({ code: 'TRANSFER_CRASHED' });
    expect(asked).toEqual([]);
    await storage.get(PurgeWorker).runDue();
    const file = await storage.files.findByPath({ workspaceId, bucket: storage.bucket, path });
    expect(await countUploads(file as StorageFile)).toBe(0);
    expect(await storage.files.listAttempts(file as StorageFile)).toMatchObject([
      { outcome: 'FAILED', errorCode: 'TRANSFER_CRASHED' },
    ]);
    expect(await storage.transfers.createAndTransfer(request)).toMatchObject({ transferStatus: 'DONE' });
  });
});
