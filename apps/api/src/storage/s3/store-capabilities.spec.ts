import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, it } from '@jest/globals';
import { startTestStorage, type TestStorage } from '../../../test/support/test-storage.js';
import { choosePartSize } from '../upload/part-plan.js';
import { StoreCapabilities } from './store-capabilities.js';
import { recogniseStore, STORE_PROFILES } from './store-profile.js';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

describe('recogniseStore', () => {
  // Headers as the servers sent them: Swift 2.30.1 and Ceph 16.2.15 of Debian 12; the others as their documentation has them.
  it.each([
    [
      'swift',
      '127.0.0.1',
      {
        'x-trans-id': 'txc1257b49f46141bd913dc-006b057c07',
        'x-openstack-request-id': 'txc1257b49f46141bd913dc-006b057c07',
      },
    ],
    ['swift', 's3.gra.cloud.ovh.net', { 'x-openstack-request-id': 'tx78dbd22300a94ed9af809-006b057bae' }],
    ['ceph', '127.0.0.1', { 'x-amz-request-id': 'tx000000000000000000001-0065b057ba-1024-default' }],
    ['ceph', 'objects.example', { server: 'Ceph Object Gateway (reef)' }],
    ['aws-s3', 's3.eu-west-3.amazonaws.com', {}],
    ['aws-s3', 'files.example', { server: 'AmazonS3' }],
    ['minio', 'files.example', { server: 'MinIO' }],
    ['ovh', 's3.gra.io.cloud.ovh.net', {}],
    ['local-s3', '127.0.0.1', { server: 'local-s3' }],
    ['unknown', 'files.example', { server: 'nginx', 'x-amz-request-id': '4442587FB7D0A2F9' }],
  ] as const)('%s at %s', (name, host, headers) => expect(recogniseStore({ host, headers })).toBe(name));

  it('knows for each fact whether it was measured, documented or guessed', () => {
    for (const profile of Object.values(STORE_PROFILES)) {
      for (const [field, fact] of Object.entries(profile)) {
        if (field === 'name' || field === 'title') continue;
        expect(fact).toEqual({
          value: expect.anything(),
          source: expect.stringMatching(/^(measured|unknown|https:\/\/\S+)$/),
        });
      }
    }
  });
});

describe('choosePartSize', () => {
  it('keeps the configured size, and grows it in whole MiB where the part numbers would not do', () => {
    const plan = { partSizeBytes: 10 * MiB, maxParts: 10_000 };
    expect(choosePartSize(plan)).toBe(10 * MiB);
    expect(choosePartSize({ ...plan, expectedBytes: 97 * GiB })).toBe(10 * MiB);
    expect(choosePartSize({ ...plan, expectedBytes: 98 * GiB })).toBe(11 * MiB);
    expect(choosePartSize({ ...plan, maxParts: 1_000, expectedBytes: 98 * GiB })).toBe(101 * MiB);
  });

  it('refuses with the figure what no part size can hold', () => {
    const plan = { partSizeBytes: 10 * MiB, maxParts: 1_000, expectedBytes: 5_000 * GiB + 1 };
    expect(() => choosePartSize(plan)).toThrow(
      expect.objectContaining({ code: 'UPLOAD_TOO_LARGE', message: expect.stringContaining('1000 parts') }),
    );
  });
});

describe('on a running store', () => {
  let storage: TestStorage | undefined;

  afterEach(async () => {
    await storage?.stop();
    storage = undefined;
  });

  async function begin(variables: Record<string, string> = {}) {
    storage = await startTestStorage(variables);
    return storage;
  }

  it('recognises local-s3, writes nothing to find out, and lets configuration say otherwise', async () => {
    const { get, store, bucket } = await begin();
    expect(await get(StoreCapabilities).profile()).toMatchObject({ name: 'local-s3', maxParts: { value: 10_000 } });
    const client = store.createClient();
    expect((await client.send(new ListObjectsV2Command({ Bucket: bucket }))).KeyCount).toBe(0);
    client.destroy();
    await storage?.stop();
    const overridden = await begin({ S3_STORE: 'ceph', S3_MAX_PARTS: '500' });
    const profile = await overridden.get(StoreCapabilities).profile();
    expect(profile).toMatchObject({
      name: 'ceph',
      maxParts: { value: 500 },
      conditionalComplete: { value: 'ignored' },
    });
  });

  it('treats a store that does not answer with care', async () => {
    const { get } = await begin({ S3_ENDPOINT: 'http://127.0.0.1:1' });
    expect(await get(StoreCapabilities).profile()).toMatchObject({ name: 'unknown', checksums: { value: 'ignored' } });
  });

  it('grows the parts of a known length, and refuses an unknown one where the part numbers end', async () => {
    const { transfers, s3, store, bucket, database } = await begin({ S3_MAX_PARTS: '2' });
    const content = randomBytes(12 * MiB);
    const source = await serve(content);
    const workspaceId = await database.createWorkspace();
    const request = { workspaceId, type: 'import', path: `${workspaceId}/${randomUUID()}` };
    const file = await transfers.createAndTransfer({ ...request, sourceUrl: source.url });
    expect(file).toMatchObject({
      transferStatus: 'DONE',
      size: BigInt(content.length),
      etag: expect.stringMatching(/-2$/),
    });
    source.close();

    const body = Readable.from([content.subarray(0, 6 * MiB), content.subarray(6 * MiB)]);
    const upload = s3.uploadStream({ path: 'uploads/unknown-length', body, contentType: 'video/mp4' });
    await expect(upload).rejects.toMatchObject({
      code: 'UPLOAD_TOO_LARGE',
      message: expect.stringContaining('10485760 bytes'),
    });
    const client = store.createClient();
    expect((await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? []).toEqual([]);
    client.destroy();
  });

  it('sends Content-MD5 where it is wanted', async () => {
    const { s3 } = await begin({ S3_PART_INTEGRITY: 'md5' });
    for (const size of [0, 1, 11 * MiB]) {
      const path = `uploads/${size}`;
      const body = Readable.from(size === 0 ? [] : [randomBytes(size)]);
      expect(await s3.uploadStream({ path, body, contentType: 'video/mp4' })).toMatchObject({ size });
    }
  });
});

async function serve(content: Buffer) {
  const server = createServer((_request, response) =>
    response.writeHead(200, { 'content-length': content.length }).end(content),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/file`, close: () => server.close() };
}
