// One contender, once: contender.js NAME URL MIB. Sends its figures to the parent and ends.
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import { EnvironmentModule } from '../dist/config/env.module.js';
import { PrismaModule } from '../dist/prisma/prisma.module.js';
import { PrismaService } from '../dist/prisma/prisma.service.js';
import { FileTransferService } from '../dist/storage/file-transfer.service.js';
import { StorageModule } from '../dist/storage/storage.module.js';

const PRESIGNS = 3_000;
const RSS_SAMPLE_MS = 20;
const [name, url, mib] = process.argv.slice(2);

const contenders = {
  async createAndTransfer() {
    const { app, transfers, workspaceId } = await startApp();
    const path = `bench/${workspaceId}/${randomUUID()}.mp4`;
    const request = { sourceUrl: url, workspaceId, path, type: 'bench', mimeType: 'video/mp4' };
    const { file, ...figures } = await measure(async () => ({ file: await transfers.createAndTransfer(request) }));
    await transfers.deleteFile(file, true);
    await app.close();
    return figures;
  },

  async 'naive SDK'() {
    const client = createNaiveClient();
    const Key = randomUUID();
    const figures = await measure(async () => {
      const { body } = await fetch(url);
      const params = { Bucket: process.env.S3_BUCKET, Key, Body: Readable.fromWeb(body), ContentType: 'video/mp4' };
      await new Upload({ client, params, partSize: 10 * 1024 * 1024, queueSize: 4 }).done();
    });
    client.destroy();
    return figures;
  },

  async presign() {
    const { app, transfers } = await startApp();
    const file = {
      id: randomUUID(),
      bucket: process.env.S3_BUCKET,
      path: 'bench/a/b.mp4',
      mimeType: 'video/mp4',
      transferStatus: 'DONE',
      deletedAt: null,
    };
    const ours = await microsecondsOf(() => transfers.getSignedUrl(file));
    const client = createNaiveClient();
    const command = () => new GetObjectCommand({ Bucket: file.bucket, Key: file.path });
    const sdk = await microsecondsOf(() => getSignedUrl(client, command(), { expiresIn: 3_600 }));
    client.destroy();
    await app.close();
    return { ours, sdk };
  },
};

process.send(await contenders[name](), () => process.disconnect());

/** Storage as a feature gets it, without HTTP. */
async function startApp() {
  class BenchModule {}
  Module({ imports: [ConfigModule.forRoot(), EnvironmentModule, PrismaModule, StorageModule] })(BenchModule);
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: ['error', 'warn'] });
  const workspace = await app.get(PrismaService).client.workspace.create({ data: { name: 'bench' } });
  return { app, transfers: app.get(FileTransferService), workspaceId: workspace.id };
}

function createNaiveClient() {
  const { S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = process.env;
  const credentials = { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY };
  return new S3Client({ endpoint: S3_ENDPOINT, region: S3_REGION, credentials, forcePathStyle: true });
}

async function measure(work) {
  const idle = process.memoryUsage.rss();
  let peak = idle;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, RSS_SAMPLE_MS);
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  const result = await work();
  const seconds = (performance.now() - begin) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  clearInterval(sampler);
  return {
    ...result,
    'MB/s': (Number(mib) * 1.048576) / seconds,
    'CPU s/GiB': (user + system) / 1e6 / (Number(mib) / 1_024),
    'peak MiB above idle': (peak - idle) / 1_048_576,
  };
}

async function microsecondsOf(sign) {
  for (let warm = 0; warm < PRESIGNS / 10; warm += 1) await sign();
  const begin = performance.now();
  for (let count = 0; count < PRESIGNS; count += 1) await sign();
  return ((performance.now() - begin) / PRESIGNS) * 1_000;
}
