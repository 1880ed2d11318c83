// Enqueues files as a feature does, and runs none of them: enqueue.js '{ url, count, workspaces }', one file of each
// workspace in turn. Sends the seconds that it took.
import { PrismaService } from '../../dist/prisma/prisma.service.js';
import { startStorageApp } from './storage-app.js';

const IN_FLIGHT = 32;

const { url, count, workspaces } = JSON.parse(process.argv[2]);
const { app, transfers } = await startStorageApp();
const names = Array.from({ length: workspaces }, (_, index) => ({ name: `bench ${index}` }));
const made = await app.get(PrismaService).client.workspace.createManyAndReturn({ data: names, select: { id: true } });

const cpuBefore = process.cpuUsage();
const begin = performance.now();
let next = 0;
const enqueueInTurn = async () => {
  while (next < count) {
    const index = next;
    next += 1;
    const workspaceId = made[index % workspaces].id;
    const sourceUrl = `${url}&index=${index}`;
    const path = `bench/${workspaceId}/${index}.bin`;
    await transfers.enqueue({ sourceUrl, workspaceId, path, type: 'bench', mimeType: 'application/octet-stream' });
  }
};
await Promise.all(Array.from({ length: IN_FLIGHT }, enqueueInTurn));
const seconds = (performance.now() - begin) / 1_000;
const { user, system } = process.cpuUsage(cpuBefore);
await app.close();
process.send({ seconds, cpuSeconds: (user + system) / 1e6 }, () => process.disconnect());
