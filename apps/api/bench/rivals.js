// The rivals: Debian's packages, brought by apt-get when they are missing and this process is root.
import { existsSync } from 'node:fs';
import { runCommand } from './processes.js';

const RIVALS = {
  rclone: { file: '/usr/bin/rclone', package: 'rclone', version: ['/usr/bin/rclone', 'version'] },
  'aws s3 cp': { file: '/usr/bin/aws', package: 'awscli', version: ['/usr/bin/aws', '--version'] },
  boto3: {
    file: '/usr/lib/python3/dist-packages/boto3',
    package: 'python3-boto3',
    version: ['/usr/bin/python3', '-c', 'import boto3; print("boto3", boto3.__version__)'],
  },
};

/**
 * Installs what is missing. A rival that cannot be had is left out of the versions returned: its rows then fail.
 *
 * @returns versions by name of the rival
 */
export async function prepareRivals(cwd) {
  const missing = Object.values(RIVALS).filter(({ file }) => !existsSync(file));
  if (missing.length > 0) await install(missing.map((rival) => rival.package));
  const versions = {};
  for (const [name, { file, version }] of Object.entries(RIVALS)) {
    if (!existsSync(file)) continue;
    const { output } = await runCommand(version, { cwd });
    versions[name] = output.split('\n')[0].split(' Python/')[0].trim(); // aws tells of the machine behind it.
  }
  return versions;
}

/** @throws Error that says which package is missing */
export function assertInstalled(name) {
  const rival = RIVALS[name];
  if (!existsSync(rival.file)) {
    throw new Error(`${name} is not installed: as root, \`apt-get install ${rival.package}\``);
  }
}

async function install(packages) {
  if (process.getuid() !== 0) return;
  const environment = { DEBIAN_FRONTEND: 'noninteractive', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
  console.log(`Installing ${packages.join(', ')} ...`);
  try {
    await runCommand(['apt-get', 'update', '-q'], { cwd: '/', environment });
    await runCommand(['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...packages], {
      cwd: '/',
      environment,
    });
  } catch (error) {
    console.error(error.message); // The row of each rival that is still missing says so again, and fails.
  }
}
