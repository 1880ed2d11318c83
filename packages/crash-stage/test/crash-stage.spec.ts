import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CrashStage } from '../src/index.js';

let stage: CrashStage;

beforeAll(async () => {
  stage = await CrashStage.open();
});
afterAll(() => stage.close());

it('brings PostgreSQL back with its rows after kill -9', async () => {
  const id = await stage.createWorkspace();
  await stage.killPostgres();
  const asked = stage.query('SELECT id FROM core_workspace WHERE id = $1', [id]); // Meanwhile nobody answers.
  await stage.restartPostgres();
  expect(await asked).toEqual([{ id }]);
});

it('brings the store back with its objects after kill -9', async () => {
  const place = { Bucket: stage.bucket, Key: 'kept' };
  await stage.s3.send(new PutObjectCommand({ ...place, Body: 'hello' }));
  await stage.killStore();
  await stage.restartStore();
  const { Body } = await stage.s3.send(new GetObjectCommand(place));
  expect(await Body?.transformToString()).toBe('hello');
});

it('holds a statement just before it changes a row, and lets it go on or be lost', async () => {
  const id = await stage.createWorkspace();
  const hold = () => stage.lock('SELECT FROM core_workspace WHERE id = $1 FOR NO KEY UPDATE', [id]);
  const change = (name: string) => stage.query('UPDATE core_workspace SET name = $2 WHERE id = $1', [id, name]);
  const nameNow = async () => {
    const rows = await stage.query<{ name: string }>('SELECT name FROM core_workspace WHERE id = $1', [id]);
    return rows[0]?.name;
  };

  const first = await hold();
  const changed = change('first');
  expect(await first.blocks(/SET name/)).toHaveLength(1);
  expect(await nameNow()).toBe('crash');
  await first.release();
  await changed;
  expect(await nameNow()).toBe('first');

  const second = await hold();
  const repeated = change('second');
  const [pid] = await second.blocks(/SET name/);
  await second.releaseWithoutThem();
  await repeated; // query() asks again when its connection is cut.
  expect(await stage.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).toEqual([]);
});

it('ends a process at once, and says what it printed when it ends too early', async () => {
  const lasting = stage.startProcess(['-e', "console.log('here'); setInterval(() => {}, 1e6)"], {});
  await lasting.printed(/here/);
  await lasting.kill();
  expect(lasting.hasEnded).toBe(true);
  const short = stage.startProcess(['-e', "console.log('gone')"], {});
  await expect(short.printed(/never/)).rejects.toThrow(/gone/);
});
