import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { behaviourTable } from '../src/behaviour-table.js';
import { BEHAVIOUR_NAMES, PARAMETERS } from '../src/index.js';
import { askRaw } from './support/raw-client.js';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const README = fileURLToPath(new URL('../README.md', import.meta.url));

function start(...options: string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function linesUntil(child: ChildProcess, isLast: (line: string) => boolean): Promise<string[]> {
  const lines: string[] = [];
  if (!child.stdout) throw new Error('no output');
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    if (isLast(line)) break;
  }
  return lines;
}

describe('the command', () => {
  it('prints a URL for every behaviour, which works, and ends by SIGTERM', async () => {
    const child = start();
    const exited = once(child, 'exit');
    const lines = await linesUntil(child, (line) => line.startsWith('hostile-source listens on '));
    const urls = lines.flatMap((line) => (/^ {2}https?:/.test(line) ? [line.trim()] : []));
    expect(urls.map((url) => new URL(url).pathname.split('/')[1])).toEqual(BEHAVIOUR_NAMES);
    expect(await askRaw(urls[0] ?? '', { certificate: '' })).toMatchObject({ status: 200 });
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });

  it('prints the same as one line of JSON', async () => {
    const child = start('--json');
    const exited = once(child, 'exit');
    const [line = ''] = await linesUntil(child, () => true);
    const { httpsUrl, certificate, urls } = JSON.parse(line) as {
      httpsUrl: string;
      certificate: string;
      urls: Record<string, string>;
    };
    expect(Object.keys(urls)).toEqual(BEHAVIOUR_NAMES);
    const secure = (urls['honest-etag'] ?? '').replace(/^http:..[^/]+/, httpsUrl);
    expect(await askRaw(secure, { certificate })).toMatchObject({ status: 200 });
    child.kill('SIGINT');
    expect(await exited).toEqual([0, null]);
  });

  it('says how it is used when a port is none', async () => {
    const child = start('--http-port', 'eighty');
    const [[code], [message]] = await Promise.all([once(child, 'exit'), once(child.stderr ?? child, 'data')]);
    expect(code).toBe(1);
    expect(String(message)).toContain('node dist/main.js [--http-port 8080]');
  });
});

/** Tables without the padding that a formatter adds. */
function unpadded(markdown: string): string {
  return markdown.replaceAll(/ {2,}/g, ' ').replaceAll(/-{3,}/g, '---');
}

describe('the README', () => {
  it('has the table of behaviours, as `node dist/main.js --table` prints it', async () => {
    expect(unpadded(await readFile(README, 'utf8'))).toContain(unpadded(behaviourTable()));
  });

  it('has every parameter with what it does', async () => {
    const text = unpadded(await readFile(README, 'utf8'));
    for (const [name, does] of Object.entries(PARAMETERS)) expect(text).toContain(`| ${name} | ${does} |`);
  });
});
