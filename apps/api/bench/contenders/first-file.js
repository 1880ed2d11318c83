// The first file of a workspace behind another one's backlog: first-file.js '{ sourceUrl, backlog, samples }'.
// Files are queued where TRANSFER_WORKER is none; without a backlog an idle worker is measured. Sends its figures.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { PrismaService } from '../../dist/prisma/prisma.service.js';
import { startStorageApp } from './storage-app.js';

/** More wait for the pool of connections. */
const ENQUEUED_AT_ONCE = 8;
const LOOK_EVERY_MS = 5;

const { sourceUrl, backlog, samples } = JSON.parse(process.argv[2]);
const { app, transfers, workspaceId } = await startStorageApp();
const { client } = app.get(PrismaService);

function enqueue(owner) {
  const path = `bench/${owner}/${randomUUID()}.bin`;
  return transfers.enqueue({ sourceUrl, workspaceId: owner, path, type: 'bench' });
}

async function queueBacklog() {
  let left = backlog;
  const enqueueSome = async () => {
    for (; left > 0; ) {
      left -= 1;
      await enqueue(workspaceId);
    }
  };
  await Promise.all(Array.from({ length: ENQUEUED_AT_ONCE }, enqueueSome));
  return { queued: backlog };
}

async function untilDone(id) {
  for (;;) {
    const file = await client.storageFile.findUniqueOrThrow({ where: { id } });
    if (file.transferStatus === 'FAILED') throw new Error(`a file is FAILED: ${file.transferError}`);
    if (file.transferStatus === 'DONE') return file;
    await sleep(LOOK_EVERY_MS);
  }
}

/** Others begin one after another, each as a workspace that has nothing under way. */
async function measureFirstFiles() {
  const seconds = [];
  for (let sample = 0; sample < samples; sample += 1) {
    const { id } = await client.workspace.create({ data: { name: 'another' } });
    const begin = performance.now();
    await untilDone((await enqueue(id)).id);
    seconds.push((performance.now() - begin) / 1_000);
  }
  const waiting = await client.storageFile.count({ where: { transferStatus: 'PENDING' } });
  seconds.sort((a, b) => a - b);
  return { median: seconds[Math.floor(samples / 2)], longest: seconds.at(-1), waiting };
}

const figures = await (process.env.TRANSFER_WORKER === 'none' ? queueBacklog() : measureFirstFiles());
process.send(figures, () => process.disconnect());
await app.close();
