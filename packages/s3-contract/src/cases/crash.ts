import { setTimeout as sleep } from 'node:timers/promises';
import { type CompletedPart, DeleteObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { type ContractCase, inArea, MEASURED } from '../contract.js';
import { must, refusalOf, refused, same, sameBytes } from '../expectations.js';
import { fullPart, UploadUnderTest } from '../upload-under-test.js';

const WHOLE = Buffer.concat([fullPart('a'), fullPart('b'), Buffer.from('end')]);

/** Ceph's lock lasts 600 s by default; a server under test is given a shorter one. */
const LOCK_WAIT_MS = 30_000;
const LOCK_POLL_MS = 250;

function afterKill(id: string, title: string, run: (s3: CaseContext) => Promise<void>): Omit<ContractCase, 'area'> {
  return { id: `crash.${id}`, title, source: MEASURED, needs: ['restart'], run };
}

/** The upload goes on with a client of the new server. */
function again(s3: CaseContext, upload: UploadUnderTest): UploadUnderTest {
  return UploadUnderTest.of(s3.client, upload);
}

/** Sends the head and half of a body, and kills the server under it. */
async function killInBody(s3: CaseContext, query = ''): Promise<void> {
  const unsignedHeaders = { 'content-length': String(8 * 1024 ** 2) };
  const request = { method: 'PUT', name: 'object', query, payloadHash: 'UNSIGNED-PAYLOAD', unsignedHeaders };
  const connection = await s3.connect();
  await connection.write(s3.signedHead(request).head);
  await connection.write(Buffer.alloc(4 * 1024 ** 2, 'n'));
  await s3.killAndRestart();
}

/**
 * What the product does after a Complete without an answer: HEAD, and Complete again only while there is no object. Ceph
 * answers 500 as long as the lock of the gateway that was killed lasts, so this is patient.
 */
async function finish(s3: CaseContext, upload: UploadUnderTest, parts: readonly CompletedPart[]): Promise<void> {
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    const isThere = await s3.head('object').then(
      () => true,
      (error: unknown) => refusalOf(error).status !== 404,
    );
    if (isThere) return;
    try {
      await again(s3, upload).complete(parts);
      return;
    } catch (error) {
      if (refusalOf(error).status < 500 || Date.now() > deadline) throw error;
    }
    await sleep(LOCK_POLL_MS);
  }
}

export const CRASH_CASES = inArea('crash', [
  afterKill(
    'object',
    'an object whose PutObject was answered is there after kill -9, with its metadata',
    async (s3) => {
      await s3.put('object', 'content', { Metadata: { job: '42' }, ContentType: 'video/mp4' });
      await s3.killAndRestart();
      const got = await s3.read('object');
      same([got.bytes.toString(), got.Metadata, got.ContentType], ['content', { job: '42' }, 'video/mp4'], 'object');
    },
  ),
  afterKill('in-put', 'kill -9 inside a PutObject leaves the old object whole', async (s3) => {
    await s3.put('object', 'old');
    await killInBody(s3);
    same(await s3.text('object'), 'old', 'content');
  }),
  afterKill('in-first-put', 'kill -9 inside the first PutObject of a key leaves no object', async (s3) => {
    await killInBody(s3);
    await refused(s3.read('object'), 404, 'NoSuchKey');
  }),
  afterKill('deleted', 'an object whose DeleteObject was answered stays gone', async (s3) => {
    await s3.put('object', 'content');
    await s3.send(new DeleteObjectCommand(s3.at('object')));
    await s3.killAndRestart();
    await refused(s3.read('object'), 404, 'NoSuchKey');
  }),
  afterKill(
    'between-parts',
    'kill -9 between parts: ListParts shows those sent, the rest follows, the object is whole',
    async (s3) => {
      const before = await s3.upload('object', { Metadata: { job: '42' } });
      const parts = [await before.part(1, fullPart('a')), await before.part(2, fullPart('b'))];
      await s3.killAndRestart();
      const upload = again(s3, before);
      const { Parts = [] } = await upload.list();
      same(
        Parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })),
        parts,
        'parts',
      );
      await upload.complete([...parts, await upload.part(3, 'end')]);
      const got = await s3.read('object');
      sameBytes(got.bytes, WHOLE);
      same(got.Metadata, { job: '42' }, 'metadata');
    },
  ),
  afterKill(
    'in-part',
    'kill -9 inside a part: it is not listed, and the one sent before under its number stays',
    async (s3) => {
      const before = await s3.upload('object');
      const first = await before.part(1, 'first');
      await killInBody(s3, `partNumber=2&uploadId=${encodeURIComponent(before.id)}`);
      same(await numbersOf(again(s3, before)), [1], 'parts after the first kill');
      await killInBody(s3, `partNumber=1&uploadId=${encodeURIComponent(before.id)}`);
      await again(s3, before).complete([first]);
      same(await s3.text('object'), 'first', 'content');
    },
  ),
  afterKill('upload-listed', 'an open upload is listed after kill -9', async (s3) => {
    const { id } = await s3.upload('object');
    await s3.killAndRestart();
    const input = { Bucket: s3.bucket, Prefix: s3.prefix };
    const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand(input));
    same(
      Uploads.map(({ UploadId }) => UploadId),
      [id],
      'ids',
    );
  }),
  afterKill('aborted', 'an upload whose Abort was answered stays gone', async (s3) => {
    const upload = await s3.upload('object');
    await upload.part(1, 'content');
    await upload.abort();
    await s3.killAndRestart();
    must(await isGone(again(s3, upload)), 'ListParts finds the upload');
  }),
  afterKill('completed', 'an object whose Complete was answered is whole after kill -9', async (s3) => {
    const upload = await s3.upload('object');
    const parts = [
      await upload.part(1, fullPart('a')),
      await upload.part(2, fullPart('b')),
      await upload.part(3, 'end'),
    ];
    await upload.complete(parts);
    await s3.killAndRestart();
    sameBytes((await s3.read('object')).bytes, WHOLE);
  }),
  // Each delay lands the kill at another point of Complete; which one is up to the machine.
  ...[0, 2, 4, 8].map((delayMs) =>
    afterKill(
      `in-complete-${delayMs}`,
      `kill -9 ${delayMs} ms into Complete: HEAD, then Complete again if need be, makes it whole`,
      async (s3) => {
        const upload = await s3.upload('object');
        const parts = [
          await upload.part(1, fullPart('a')),
          await upload.part(2, fullPart('b')),
          await upload.part(3, 'end'),
        ];
        const completing = upload.complete(parts).catch(() => undefined); // The reset is what this is about.
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        await s3.killAndRestart();
        await completing;
        await finish(s3, upload, parts);
        sameBytes((await s3.read('object')).bytes, WHOLE);
      },
    ),
  ),
  afterKill(
    'in-complete-over-old',
    'kill -9 inside a Complete over an object leaves the old one or the new one, never a mix',
    async (s3) => {
      await s3.put('object', 'old');
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, fullPart('a')), await upload.part(2, 'end')];
      const completing = upload.complete(parts).catch(() => undefined); // The reset is what this is about.
      await s3.killAndRestart();
      await completing;
      const { bytes } = await s3.read('object');
      const isOld = bytes.toString('utf8', 0, 4) === 'old';
      const isNew = bytes.equals(Buffer.concat([fullPart('a'), Buffer.from('end')]));
      must(isOld || isNew, `${bytes.length} bytes that are neither`);
    },
  ),
]);

async function numbersOf(upload: UploadUnderTest): Promise<(number | undefined)[]> {
  return ((await upload.list()).Parts ?? []).map(({ PartNumber }) => PartNumber);
}

/** NoSuchUpload, or NoSuchKey where a server says that. */
async function isGone(upload: UploadUnderTest): Promise<boolean> {
  return upload.list().then(
    () => false,
    (error: unknown) => refusalOf(error).status === 404,
  );
}
