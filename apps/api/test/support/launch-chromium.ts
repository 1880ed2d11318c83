import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createBrotliDecompress } from 'node:zlib';
import { type Browser, chromium } from 'playwright-core';

export interface TestBrowser {
  readonly browser: Browser;
  /** Ends the browser and removes what was unpacked for it. */
  close(): Promise<void>;
}

/**
 * A real Chromium with its ordinary web security, out of npm alone, in about 2 s.
 *
 * The package's own executablePath() and args are not used: the one unpacks into a place that all processes share and
 * calls a half-written file ready, the others turn CORS off (--disable-web-security).
 */
export async function launchChromium(): Promise<TestBrowser> {
  const folder = await mkdtemp(join(tmpdir(), 'chromium-'));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const executablePath = join(folder, 'chromium');
    await Promise.all([
      unpack('chromium.br', createWriteStream(executablePath, { mode: 0o700 })),
      // NSS and expat, which a machine without a desktop may not have.
      unpackTar('al2023.tar.br', folder),
    ]);
    const browser = await chromium.launch({
      executablePath,
      env: { ...process.env, LD_LIBRARY_PATH: join(folder, 'lib'), HOME: folder },
      args: [
        '--disable-gpu',
        '--mute-audio',
        '--autoplay-policy=no-user-gesture-required',
        '--disable-quic',
        // Names are not looked up outside this machine, whatever the browser would like to ask its maker.
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
      ],
    });
    return {
      browser,
      async close() {
        await browser.close();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

/** The package's files stand beside its code, compressed. */
async function unpack(name: string, target: Writable): Promise<void> {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const file = join(dirname(entry), '../../bin', name);
  await pipeline(createReadStream(file), createBrotliDecompress({ chunkSize: 2 ** 20 }), target);
}

async function unpackTar(name: string, folder: string): Promise<void> {
  const file = join(folder, name.replace(/\.br$/, ''));
  await unpack(name, createWriteStream(file));
  await promisify(execFile)('tar', ['-xf', file, '-C', folder]);
}
