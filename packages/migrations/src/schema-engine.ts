import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg';
import type { Pool } from 'pg';
import { engineAdapterFactory } from './engine-adapter.js';

/** The one call used here: TypeScript has the types of WebAssembly only beside those of a browser's whole DOM. */
declare const WebAssembly: {
  instantiate(
    bytes: Uint8Array,
    imports: Record<string, object>,
  ): Promise<{ instance: { exports: Record<string, unknown> } }>;
};

/** What the engine gets when nothing but migrations matters: the kind of database. */
const EMPTY_SCHEMA: [string, string][] = [['schema.prisma', 'datasource db { provider = "postgresql" }']];

/** What the engine says, without its stack of Rust functions. */
export class SchemaEngineError extends Error {
  override readonly name = 'SchemaEngineError';
  constructor(
    message: string,
    /** Prisma's code, such as P3009; not every error has one. */
    readonly code: string | undefined,
    /** PostgreSQL's words, when it was a script that failed. */
    readonly scriptError: string | undefined,
    options: ErrorOptions,
  ) {
    super(message, options);
  }
}

let loading: Promise<void> | undefined;

/**
 * Runs `work` with Prisma's schema engine on `pool`. It is the engine of `prisma migrate`, compiled to WebAssembly: nothing
 * is downloaded.
 * @throws SchemaEngineError for whatever `work` rejects with.
 */
export async function withSchemaEngine<T>(pool: Pool, work: (engine: bindings.SchemaEngine) => Promise<T>): Promise<T> {
  loading ??= loadEngine();
  await loading;
  let scriptError: string | undefined;
  const adapter = engineAdapterFactory(pool, (message) => {
    scriptError = message;
  });
  let engine: bindings.SchemaEngine | undefined;
  try {
    const bound = bindMigrationAwareSqlAdapterFactory(adapter);
    engine = await bindings.SchemaEngine.new({ datamodels: EMPTY_SCHEMA }, () => undefined, bound);
    return await work(engine);
  } catch (cause) {
    const { message, code } = cause as { message?: string; code?: string };
    throw new SchemaEngineError(withoutTrace(message ?? String(cause)), code, scriptError, { cause });
  } finally {
    engine?.free();
  }
}

/** The package is written for bundlers; Node needs the module put together by hand. */
async function loadEngine(): Promise<void> {
  const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm');
  const bytes = await readFile(path.join(path.dirname(entry), 'schema_engine_bg.wasm'));
  const { instance } = await WebAssembly.instantiate(bytes, {
    './schema_engine_bg.js': { ...bindings, ...timersThatLetTheProcessEnd() },
  });
  bindings.__wbg_set_wasm(instance.exports);
  const start = instance.exports.__wbindgen_start;
  if (typeof start !== 'function') throw new Error('@prisma/schema-engine-wasm has no start function');
  start();
}

/**
 * The engine waits up to 10 s for its lock and never clears that timer, so that a process which is done would linger. The
 * name of the imported function ends in a hash that changes with the version.
 */
function timersThatLetTheProcessEnd(): Record<string, object> {
  const setTimer = (callback: () => void, delayMs: number) => setTimeout(callback, delayMs).unref();
  const names = Object.keys(bindings).filter((name) => name.startsWith('__wbg_setTimeout_'));
  return Object.fromEntries(names.map((name) => [name, setTimer]));
}

/** Cuts off the trace of Rust functions, which begins with a line "   0: name". */
function withoutTrace(message: string): string {
  return message
    .split(/\n\s+0: /, 1)
    .join('')
    .trim();
}
