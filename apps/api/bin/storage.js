// The CLI from a checkout: builds what changed, then runs `dist/cli/main.js` in this same process.
//
// One process for launcher and CLI means that Ctrl-C reaches the CLI alone and its exit code is this one's. The build is
// silent when nothing changed, says one line when it takes a moment, and prints its output only when it fails.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A cached build takes about half a second: only a longer one is worth a line. */
const ANNOUNCE_AFTER_MS = 1_500;
const repositoryRoot = fileURLToPath(new URL('../../../', import.meta.url));

async function build() {
  const announcement = setTimeout(() => console.error('Building ...'), ANNOUNCE_AFTER_MS);
  const turbo = spawn(
    'turbo',
    ['run', 'build', '--filter=@s3-transfer/api', '--output-logs=errors-only', '--ui=stream'],
    {
      cwd: repositoryRoot,
      env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const output = [];
  turbo.stdout.on('data', (chunk) => output.push(chunk));
  turbo.stderr.on('data', (chunk) => output.push(chunk));
  const [exitCode, signal] = await once(turbo, 'close').catch(() => {
    console.error('error USAGE: the build tool is not on the PATH; call this as: pnpm storage <command>');
    process.exit(1);
  });
  clearTimeout(announcement);
  if (exitCode === 0) return;
  process.stderr.write(Buffer.concat(output));
  console.error(signal ? `The build was ended by ${signal}.` : 'The build failed: see above.');
  process.exit(signal === 'SIGINT' ? 130 : 1);
}

await build();
await import('../dist/cli/main.js');
