// Microseconds of one getSignedUrl, ours and the SDK's, side by side in one process.
import { randomUUID } from 'node:crypto';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { startStorageApp } from './storage-app.js';

const TURNS = 10;
const COUNT = 500;
const { S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = process.env;

const { app, transfers, workspaceId } = await startStorageApp();
const file = {
  id: randomUUID(),
  workspaceId,
  bucket: S3_BUCKET,
  path: `${workspaceId}/bench/video.mp4`,
  mimeType: 'video/mp4',
  transferStatus: 'DONE',
  deletedAt: null,
};
const credentials = { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY };
const client = new S3Client({ endpoint: S3_ENDPOINT, region: S3_REGION, credentials, forcePathStyle: true });
const command = () => new GetObjectCommand({ Bucket: file.bucket, Key: file.path });

const contenders = {
  product: () => transfers.getSignedUrl(file),
  sdk: () => getSignedUrl(client, command(), { expiresIn: 3_600 }),
};
// In short turns, so that what else the machine does meets both; the first turn warms up and is not counted.
const milliseconds = { product: 0, sdk: 0 };
for (let turn = 0; turn <= TURNS; turn += 1) {
  for (const [name, sign] of Object.entries(contenders)) {
    const begin = performance.now();
    for (let count = 0; count < COUNT; count += 1) await sign();
    if (turn > 0) milliseconds[name] += performance.now() - begin;
  }
}
client.destroy();
await app.close();
const microsecondsOf = (name) => (milliseconds[name] * 1_000) / (TURNS * COUNT);
process.send({ product: microsecondsOf('product'), sdk: microsecondsOf('sdk') }, () => process.disconnect());
