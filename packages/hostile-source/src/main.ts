import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { BEHAVIOUR_NAMES, BEHAVIOURS, type BehaviourName } from './all-behaviours.js';
import { behaviourTable } from './behaviour-table.js';
import { type HostileSource, type HostileSourceOptions, startHostileSource } from './server.js';

const USAGE = `node dist/main.js [--http-port 8080] [--https-port 8443] [--certificate-file ca.pem] [--json] [--table]
  --certificate-file  writes the authority that a client of the https URLs has to trust
  --json              prints one line: httpUrl, httpsUrl, certificate and the URL of every behaviour
  --table             prints the README's table and ends`;

try {
  await run();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'http-port': { type: 'string', default: '0' },
      'https-port': { type: 'string', default: '0' },
      'certificate-file': { type: 'string' },
      json: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
    },
  });
  if (values.table) {
    process.stdout.write(behaviourTable());
    return;
  }
  const source = await startHostileSource(ports(values['http-port'], values['https-port']));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop(source));
  if (values['certificate-file'] !== undefined) await writeFile(values['certificate-file'], source.certificate);
  process.stdout.write(values.json ? `${JSON.stringify(description(source))}\n` : listing(source));
}

function ports(http: string, https: string): HostileSourceOptions {
  if (![http, https].every((port) => /^\d{1,5}$/.test(port))) throw new Error(USAGE);
  return { httpPort: Number(http), httpsPort: Number(https) };
}

function description(source: HostileSource): object {
  const { httpUrl, httpsUrl, certificate } = source;
  return {
    httpUrl,
    httpsUrl,
    certificate,
    urls: Object.fromEntries(BEHAVIOUR_NAMES.map((name) => [name, urlByHand(source, name)])),
  };
}

function listing(source: HostileSource): string {
  const entries = BEHAVIOUR_NAMES.map((name) => `${name} ${BEHAVIOURS[name].title}\n  ${urlByHand(source, name)}\n`);
  return `${entries.join('')}\nhostile-source listens on ${source.httpUrl} and ${source.httpsUrl}\n`;
}

/** One id: whoever asks twice sees how a behaviour goes on. */
function urlByHand(source: HostileSource, name: BehaviourName): string {
  return source.urlOf(name, {}, { id: 'by-hand' });
}

function stop(source: HostileSource): void {
  source.close().then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
}
