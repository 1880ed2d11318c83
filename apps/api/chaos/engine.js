// The product's storage in a process of its own, so that its memory, its log and its end are its own too. The parent
// sends requests by number; each is answered with how its calls ended.
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import { Logger, LoggerModule } from 'nestjs-pino';
import { ENVIRONMENT } from '../dist/config/env.js';
import { EnvironmentModule } from '../dist/config/env.module.js';
import { toLoggerOptions } from '../dist/http/logger-options.js';
import { PrismaModule } from '../dist/prisma/prisma.module.js';
import { PurgeWorker } from '../dist/storage/cleanup/purge-worker.js';
import { FileTransferService } from '../dist/storage/file-transfer.service.js';
import { S3Service } from '../dist/storage/s3.service.js';
import { StorageModule } from '../dist/storage/storage.module.js';
import { StorageFileRepository } from '../dist/storage/storage-file.repository.js';
import { PartBufferPool } from '../dist/storage/upload/part-buffer-pool.js';
import { FRESH_LINKS_TYPE } from './transfer-request.js';

class ChaosModule {}
Module({
  imports: [
    ConfigModule.forRoot({ ignoreEnvFile: true }),
    EnvironmentModule,
    LoggerModule.forRootAsync({ inject: [ENVIRONMENT], useFactory: toLoggerOptions }),
    PrismaModule,
    StorageModule,
  ],
})(ChaosModule);

const app = await NestFactory.createApplicationContext(ChaosModule, { bufferLogs: true, abortOnError: false });
app.useLogger(app.get(Logger));
const transfers = app.get(FileTransferService);
/** Links by path, with the number of those that were handed out. */
const links = new Map();
transfers.refreshSourcesOf(FRESH_LINKS_TYPE, async ({ path }) => {
  const link = links.get(path);
  link.handedOut += 1;
  const url = new URL(link.sourceUrl);
  url.searchParams.set('token', `${url.searchParams.get('token')}-${link.handedOut}`);
  return { sourceUrl: url.href, sourceHeaders: link.sourceHeaders };
});

const ACTIONS = {
  transfer,
  async purge() {
    await app.get(PurgeWorker, { strict: false }).runDue();
  },
  heldBytes: () => app.get(PartBufferPool, { strict: false }).bytes.held,
};

process.on('message', ({ id, action, request }) => {
  if (action === 'end') return void app.close().then(() => process.disconnect());
  Promise.resolve(ACTIONS[action](request)).then(
    (answer) => process.send({ id, answer }),
    (error) => process.send({ id, failure: inspect(error) }),
  );
});
process.send({ id: 'ready' });

/** @returns how each call ended, in order */
async function transfer({ file, caller, secrets }) {
  links.set(file.path, { ...file, handedOut: 0 });
  const call = (changes = {}) =>
    transfers.createAndTransfer({ ...file, ...changes }).then(toEnd, (error) => toFailure(error, secrets));
  try {
    return await callAs(caller, call, file);
  } finally {
    links.delete(file.path);
  }
}

async function callAs({ kind, afterMs, otherUrl }, call, file) {
  if (kind === 'twice-at-once') return await Promise.all([call(), call()]);
  if (kind === 'cancel') return [(await Promise.all([call(), cancelAfter(afterMs, file)]))[0]];
  const first = await call();
  if (kind === 'other-source') return [first, await call({ sourceUrl: otherUrl })];
  if (kind === 'again' && first.status === 'DONE') return [first, await call()];
  return [first];
}

/** A row that is not there yet, or any more, is not cancelled: the transfer ends as it would without. */
async function cancelAfter(afterMs, { workspaceId, path }) {
  await sleep(afterMs);
  const bucket = app.get(S3Service).getDefaultBucket();
  const row = await app.get(StorageFileRepository).findByPath({ workspaceId, bucket, path });
  if (row !== null) await transfers.cancelTransfer(row).catch(() => {}); // Its caller is told.
}

function toEnd({ id, transferStatus: status, attempts }) {
  return { id, status, attempts };
}

/** `text`: what console.error would show of it, causes and their fields included. */
function toFailure(error, secrets) {
  const text = inspect(error);
  return { status: 'FAILED', code: error.code, text, hasSecret: secrets.some((secret) => text.includes(secret)) };
}
