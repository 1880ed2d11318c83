import { execFile } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** invoke-rc.d asks this program before it starts a service; 101 means "not allowed" (Debian: policy-rc.d specification). */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d';
/** Another apt or dpkg may be at work. */
const LOCK_WAIT_SECONDS = 120;
const INSTALL_TIMEOUT_MS = 600_000;
const LARGEST_OUTPUT_BYTES = 64 * 1024 * 1024;

let lastInstall: Promise<unknown> = Promise.resolve();

/** Says in one line that `what` needs root, unless this process is root. */
export function requireRoot(what: string): void {
  if (process.getuid?.() !== 0) throw new Error(`${what} needs root, and this process is not.`);
}

/**
 * Installs those of `names` that are missing and resolves to the version of each, in the order of `names`. Services that
 * the packages bring are kept from starting.
 * @throws Error with apt's own words, when a package cannot be installed
 */
export function installPackages(names: readonly string[]): Promise<string[]> {
  // One after the other: a second call may find that the first has installed what it needs.
  const install = lastInstall.then(() => installMissing(names));
  lastInstall = install.catch(() => {}); // The caller of that one has its error.
  return install;
}

async function installMissing(names: readonly string[]): Promise<string[]> {
  const missing = [...(await readVersions(names))].filter(([, version]) => version === undefined).map(([name]) => name);
  if (missing.length > 0) {
    requireRoot(`Installing ${missing.join(', ')}`);
    await withoutServices(async () => {
      await apt(['update']);
      await apt(['install', '--yes', '--no-install-recommends', ...missing]);
    });
  }
  const versions = await readVersions(names);
  return names.map((name) => {
    const version = versions.get(name);
    if (version === undefined) throw new Error(`apt-get did not install ${name}.`);
    return version;
  });
}

/** Version of each installed package, without epoch and Debian's revision; undefined for one that is not installed. */
async function readVersions(names: readonly string[]): Promise<Map<string, string | undefined>> {
  const format = ['Package', 'db:Status-Status', 'Version'].map((field) => `\${${field}}`).join(' ');
  // It exits with 1 when it knows one of them not at all, and still prints the others.
  const { stdout } = await run('dpkg-query', ['--show', `--showformat=${format}\n`, ...names]).catch(
    (error: unknown) => {
      const { stdout, code } = error as { stdout?: string; code?: unknown };
      if (code === 'ENOENT')
        throw new Error('Swift, Ceph and spin come from Debian packages, and this system has no dpkg.');
      return { stdout: stdout ?? '' };
    },
  );
  const versions = new Map<string, string | undefined>(names.map((name) => [name, undefined]));
  for (const line of stdout.split('\n')) {
    const [name = '', status, version = ''] = line.split(' ');
    if (status === 'installed') versions.set(name, version.replace(/^\d+:/, '').replace(/[+~-].*$/, ''));
  }
  return versions;
}

async function apt(command: readonly string[]): Promise<void> {
  const settings = ['-o', `DPkg::Lock::Timeout=${LOCK_WAIT_SECONDS}`, '-o', 'Dpkg::Use-Pty=0'];
  try {
    await run('apt-get', ['-qq', ...settings, ...command], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      timeout: INSTALL_TIMEOUT_MS,
      maxBuffer: LARGEST_OUTPUT_BYTES,
    });
  } catch (cause) {
    const { stderr = '', stdout = '' } = cause as { stderr?: string; stdout?: string };
    const words = `${stdout}\n${stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new Error(`apt-get ${command.join(' ')} failed:\n${words}`, { cause });
  }
}

async function withoutServices(install: () => Promise<void>): Promise<void> {
  if (existsSync(SERVICE_POLICY)) return install(); // A container's own policy stays in force.
  const remove = (): void => rmSync(SERVICE_POLICY, { force: true });
  writeFileSync(SERVICE_POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  process.on('exit', remove);
  try {
    await install();
  } finally {
    remove();
    process.off('exit', remove);
  }
}
