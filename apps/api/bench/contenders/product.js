// createAndTransfer in a process of its own, as a server runs it: product.js '{ urls, bytes, sha256 }', bytes of each.
// Sends its figures to the parent and ends.
import { randomUUID } from 'node:crypto';
import { watchIntegrity } from './integrity.js';
import { measure } from './measure.js';
import { startStorageApp } from './storage-app.js';

const job = JSON.parse(process.argv[2]);
const { app, transfers, workspaceId } = await startStorageApp();
const integrity = watchIntegrity();

const { result: files, figures } = await measure(() =>
  Promise.all(
    job.urls.map((sourceUrl) => {
      const path = `bench/${workspaceId}/${randomUUID()}.mp4`;
      return transfers.createAndTransfer({ sourceUrl, workspaceId, path, type: 'bench', mimeType: 'video/mp4' });
    }),
  ),
);

for (const { id, transferStatus, size, sha256 } of files) {
  const isRight = transferStatus === 'DONE' && size === BigInt(job.bytes) && (job.sha256 ?? sha256) === sha256;
  if (!isRight) throw new Error(`row ${id} is ${transferStatus} with ${size} bytes and SHA-256 ${sha256}`);
}
for (const file of files) await transfers.deleteFile(file, true);
await app.close();
const objects = files.map(({ path, sha256 }) => ({ key: path, sha256 }));
process.send({ ...figures, objects, integrity: integrity() }, () => process.disconnect());
