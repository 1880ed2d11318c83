// What the AWS SDK does when it is called without further thought: fetch, and Upload with its defaults at 10 MiB x 4.
// naive-sdk.js '{ url }' sends its figures to the parent and ends.
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { watchIntegrity } from './integrity.js';
import { measure } from './measure.js';

const { url } = JSON.parse(process.argv[2]);
const { S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = process.env;
const credentials = { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY };
const client = new S3Client({ endpoint: S3_ENDPOINT, region: S3_REGION, credentials, forcePathStyle: true });
const place = { Bucket: S3_BUCKET, Key: randomUUID() };
const integrity = watchIntegrity();

const { figures } = await measure(async () => {
  const { body } = await fetch(url);
  const params = { ...place, Body: Readable.fromWeb(body), ContentType: 'video/mp4' };
  await new Upload({ client, params, partSize: 10 * 1024 * 1024, queueSize: 4 }).done();
});
await client.send(new DeleteObjectCommand(place));
client.destroy();
process.send({ ...figures, objects: [{ key: place.Key }], integrity: integrity() }, () => process.disconnect());
