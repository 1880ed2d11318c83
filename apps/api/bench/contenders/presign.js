// Microseconds of one getSignedUrl, ours and the SDK's, side by side in one process.
import { randomUUID } from 'node:crypto';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { startStorageApp } from './storage-app.js';

const COUNT = Number(process.argv[2]);
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

const product = await microsecondsOf(() => transfers.getSignedUrl(file));
const sdk = await microsecondsOf(() => getSignedUrl(client, command(), { expiresIn: 3_600 }));
client.destroy();
await app.close();
process.send({ product, sdk }, () => process.disconnect());

async function microsecondsOf(sign) {
  for (let warm = 0; warm < COUNT / 5; warm += 1) await sign();
  const begin = performance.now();
  for (let count = 0; count < COUNT; count += 1) await sign();
  return ((performance.now() - begin) / COUNT) * 1_000;
}
