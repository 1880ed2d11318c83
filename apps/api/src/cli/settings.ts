import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError } from './cli-error.js';
import { DataFolder } from './data-folder.js';

/** `dist/cli/` and `src/cli/` lie equally deep. */
const repositoryRoot = fileURLToPath(new URL('../../../../', import.meta.url));

/** A file of the checkout (or of the container image), wherever the command was called. */
export function repositoryFile(path: string): string {
  return resolve(repositoryRoot, path);
}

/** What every command knows before it does anything. */
export interface Settings {
  readonly dataFolder: DataFolder;
  /** Port of the web page in development: the API and the embedded bucket allow its origin. */
  readonly webPort: number;
}

/**
 * Reads `.env` of the working directory into process.env (variables that are set already win) and takes the settings
 * of the commands from it.
 *
 * @throws CliError USAGE
 */
export function readSettings(options: { dataDir?: string }): Settings {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const webPort = Number(process.env.WEB_PORT || 3000);
  if (!Number.isInteger(webPort) || webPort < 1 || webPort > 65_535) {
    throw new CliError('USAGE', 'WEB_PORT must be a port, 1 to 65535');
  }
  const dataDir = options.dataDir || process.env.DATA_DIR || repositoryFile('.data');
  return { dataFolder: new DataFolder(resolve(dataDir)), webPort };
}
