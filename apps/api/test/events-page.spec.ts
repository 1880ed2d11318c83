// docs/events.md: what it tells receivers to do is done here.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createWebhookSecret, signWebhook } from '../src/storage/events/webhook-signature.js';
import { EVENT_TYPES } from '../src/storage/events/webhook-subscriptions.js';

const page = readFileSync(fileURLToPath(new URL('../../../docs/events.md', import.meta.url)), 'utf8');
const now = () => Math.floor(Date.now() / 1_000);

describe('docs/events.md', () => {
  it('has every type that a webhook can be told of', () => {
    const types = [...page.matchAll(/^\| `([a-z.]+)` +\|/gm)].map(([, type]) => type);
    expect(types.toSorted()).toEqual([...EVENT_TYPES].toSorted());
  });

  describe('its receiver', () => {
    const secret = createWebhookSecret();
    let folder: string;
    let receiver: ReturnType<typeof spawn>;
    let lines: Interface;
    let url: string;
    const printed: string[] = [];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'receiver-'));
      const [, code = ''] = /```js\n(.*?)```/s.exec(page) ?? [];
      await writeFile(join(folder, 'receiver.mjs'), code);
      receiver = spawn(process.execPath, [join(folder, 'receiver.mjs')], {
        env: { WEBHOOK_SECRET: secret, PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      if (receiver.stdout === null) throw new Error('it has no output');
      lines = createInterface(receiver.stdout).on('line', (line) => printed.push(line));
      const [line] = (await once(lines, 'line')) as [string];
      url = `http://127.0.0.1:${/^listening on (\d+)$/.exec(line)?.[1]}/`;
    });
    afterAll(async () => {
      receiver.kill();
      await once(receiver, 'close');
      await rm(folder, { recursive: true });
    });

    const bodyOf = (id: string) =>
      JSON.stringify({ id, type: 'storage.file.done', createdAt: '', data: { size: '7' } });

    interface Message {
      id?: string;
      timestamp?: number;
      secrets?: string[];
      /** Instead of what was signed. */
      sent?: string;
    }

    async function post({ id = 'event-1', timestamp = now(), secrets = [secret], sent }: Message): Promise<number> {
      const body = bodyOf(id);
      const headers = {
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signWebhook({ id, timestamp, body }, secrets),
      };
      return (await fetch(url, { method: 'POST', headers, body: sent ?? body })).status;
    }

    it('takes what is signed by its secret, by one of two during a rotation too', async () => {
      expect(await post({ id: 'rotated', secrets: [createWebhookSecret(), secret] })).toBe(204);
      expect(await post({ id: 'event-1' })).toBe(204);
    });

    it('takes an event twice and acts once', async () => {
      expect(await post({ id: 'twice' })).toBe(204);
      expect(await post({ id: 'twice' })).toBe(204);
      expect(await post({ id: 'last' })).toBe(204);
      while (printed.length < 5) await once(lines, 'line');
      expect(printed.slice(1)).toEqual(Array(4).fill("storage.file.done { size: '7' }"));
    });

    it('refuses another secret, other bytes, an old message, and one without a signature', async () => {
      expect(await post({ secrets: [createWebhookSecret()] })).toBe(401);
      expect(await post({ sent: bodyOf('event-2') })).toBe(401);
      expect(await post({ timestamp: now() - 600 })).toBe(401);
      expect((await fetch(url, { method: 'POST', body: bodyOf('event-3') })).status).toBe(401);
    });
  });
});
