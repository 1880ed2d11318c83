import { posix } from 'node:path';
import { resolveImport, type SourceFile } from './source-file.js';

/** What one rule finds wrong: the file, and what it does that the rule forbids. */
export type Breach = string;

export interface Rule {
  /** Said as what holds, with the reason where the words do not give it. */
  readonly name: string;
  /** Files of apps/api/src, paths relative to it. Specs may import what they test, and are not among them. */
  findBreaches(files: readonly SourceFile[]): Breach[];
}

/**
 * Each line may import those below it. What stands in one line does not know each other; inside a folder, whose name
 * ends in a slash, all may.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['main.ts', 'cli/'],
  ['create-app.ts'],
  ['app.module.ts', 'worker.module.ts'],
  ['files/', 'health/', 'recordings/', 'webhooks/'],
  ['auth/'],
  ['http/'],
  ['storage/'],
  ['prisma/'],
  // Prisma's client is made by `prisma generate`, and config reads variables alone.
  ['generated/', 'config/'],
];

/**
 * The same inside storage/. Status changes live in transfer/transfer-state.repository.ts and not in
 * storage-file.repository.ts, because the module gives the latter away, and a status is nobody else's to change.
 */
const STORAGE_LAYERS: readonly (readonly string[])[] = [
  ['storage/storage.module.ts'],
  ['storage/file-transfer.service.ts'],
  ['storage/file-deletion.ts', 'storage/file-links.ts'],
  ['storage/cleanup/', 'storage/events/'],
  ['storage/transfer/'],
  ['storage/s3.service.ts', 'storage/storage-file.repository.ts'],
  ['storage/upload/'],
  ['storage/s3/', 'storage/source/'],
  ['storage/object-key.ts', 'storage/storage.options.ts'],
  ['storage/storage.errors.ts'],
  ['storage/error-catalogue.ts'],
];

const STORAGE_DOORS = [
  'storage/storage.module.ts',
  'storage/s3.service.ts',
  'storage/file-transfer.service.ts',
  'storage/storage-file.repository.ts',
  'storage/storage.errors.ts',
  // Features that write events poke the dispatcher, and their listeners take what it tells them.
  'storage/events/events.module.ts',
  'storage/events/event-dispatcher.ts',
  // Who is told is a person's choice, made over HTTP or on the command line.
  'storage/events/webhook-subscriptions.module.ts',
  'storage/events/webhook-subscriptions.ts',
];

/** Commands set a store up, examine it and hold it against the rows, which no feature may do: they have doors more. */
const STORAGE_DOORS_OF_COMMANDS = [
  'storage/s3/bucket-settings.ts',
  'storage/s3/store-doctor.ts',
  'storage/cleanup/invariants.ts',
  'storage/cleanup/reconciliation.ts',
  'storage/cleanup/finding-repair.ts',
];

const doorsOf = (path: string): readonly string[] =>
  path.startsWith('cli/') ? [...STORAGE_DOORS, ...STORAGE_DOORS_OF_COMMANDS] : STORAGE_DOORS;

/** Where `.env` and the environment become checked options; the start files, because they run before those exist. */
const ENVIRONMENT_READERS = ['config/', 'cli/', 'main.ts', 'create-app.ts', 'app.module.ts'];

const RECORDING_LISTENER = 'recordings/recording-transfer.listener.ts';

export const RULES: readonly Rule[] = [
  {
    name: 'imports go one way: main, cli -> create-app -> app.module -> features -> auth -> http -> storage -> prisma -> config',
    findBreaches: (files) => files.flatMap((file) => breachesOfOrder(file, LAYERS, '')),
  },
  {
    name: 'imports inside storage/ go one way, from storage.module to storage.errors and its catalogue',
    findBreaches: (files) =>
      files
        .filter(({ path }) => path.startsWith('storage/'))
        .flatMap((file) => breachesOfOrder(file, STORAGE_LAYERS, 'storage/')),
  },
  {
    name: 'storage/ has nine doors (module, s3.service, file-transfer.service, storage-file.repository, errors, and four of events/), and five more for cli/',
    findBreaches: (files) =>
      targetsOf(files)
        .filter(({ file, target }) => target.startsWith('storage/') && !file.path.startsWith('storage/'))
        .filter(({ file, target }) => !doorsOf(file.path).includes(target))
        .map(({ file, target }) => `${file.path} imports ${target}`),
  },
  {
    name: 'the AWS SDK stays in s3.service, storage/s3 and storage/upload: one edge translates its errors',
    findBreaches: (files) =>
      packageBreaches(files, /^@(aws-sdk|smithy)\//, ['storage/s3.service.ts', 'storage/s3/', 'storage/upload/']),
  },
  {
    name: 'undici stays in storage/source: no other code connects to addresses that users name',
    findBreaches: (files) => packageBreaches(files, /^undici(\/|$)/, ['storage/source/']),
  },
  {
    name: "Prisma's values stay in prisma/ and in repositories; its types may go anywhere",
    findBreaches: (files) =>
      files
        .filter(({ path }) => !isIn(path, ['prisma/', 'generated/']) && !path.endsWith('.repository.ts'))
        .flatMap((file) =>
          file.imports
            .filter(({ isTypeOnly }) => !isTypeOnly)
            .filter(
              (item) => item.specifier.startsWith('@prisma/') || resolveImport(file, item)?.startsWith('generated/'),
            )
            .map(({ specifier }) => `${file.path} imports values of ${specifier}`),
        ),
  },
  {
    name: 'no index.ts: a barrel around providers makes import cycles',
    findBreaches: (files) => files.map(({ path }) => path).filter((path) => posix.basename(path) === 'index.ts'),
  },
  {
    name: 'relative imports end in .js, as Node resolves them',
    findBreaches: (files) =>
      files.flatMap((file) =>
        file.imports
          .filter(({ specifier }) => specifier.startsWith('.') && !specifier.endsWith('.js'))
          .map(({ specifier }) => `${file.path} imports ${specifier}`),
      ),
  },
  {
    name: 'no import cycle: in one, a class is undefined when its decorator runs, and injection breaks',
    findBreaches: findCycles,
  },
  {
    name: 'process.env is read where options are made: everything else gets them checked and typed',
    findBreaches: (files) =>
      files
        .filter(({ path, readsProcessEnv }) => readsProcessEnv && !isIn(path, ENVIRONMENT_READERS))
        .map(({ path }) => `${path} reads process.env`),
  },
  {
    name: 'RecordingRepository.findById and update, which ask for no workspace, are called by the listener alone',
    findBreaches: (files) =>
      files
        .filter(({ path }) => path !== RECORDING_LISTENER)
        .flatMap(({ path, typedNames, methodCalls }) => {
          const receivers = typedNames.filter(({ type }) => type === 'RecordingRepository').map(({ name }) => name);
          return methodCalls
            .filter(({ method }) => method === 'findById' || method === 'update')
            .filter(({ receiver }) => ['RecordingRepository', ...receivers].includes(receiver))
            .map(({ method }) => `${path} calls RecordingRepository.${method}`);
        }),
  },
  {
    name: 'injected classes are value imports: of a type nothing is left that Nest could look for',
    findBreaches: (files) =>
      files.flatMap(({ path, imports, injectedTypes }) => {
        const typeNames = imports.flatMap((item) => item.typeNames);
        return injectedTypes
          .filter((type) => typeNames.includes(type))
          .map((type) => `${path} injects ${type}, of which it imports the type alone`);
      }),
  },
];

/** Packages stand alone: apps import them, never the other way. Paths relative to the repository. */
export const PACKAGE_RULE: Rule = {
  name: 'packages never import apps',
  findBreaches: (files) =>
    files.flatMap((file) =>
      file.imports
        .filter(
          (item) => item.specifier.startsWith('@s3-transfer/api') || resolveImport(file, item)?.startsWith('apps/'),
        )
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    ),
};

function isIn(path: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place));
}

function targetsOf(files: readonly SourceFile[]): { file: SourceFile; target: string }[] {
  return files.flatMap((file) =>
    file.imports.flatMap((item) => {
      const target = resolveImport(file, item);
      return target === undefined ? [] : [{ file, target }];
    }),
  );
}

/** Judges what `file` imports of `folder`. */
function breachesOfOrder(file: SourceFile, layers: readonly (readonly string[])[], folder: string): Breach[] {
  const placeOf = (path: string) => layers.flat().find((place) => isIn(path, [place]));
  const rankOf = (place: string) => layers.findIndex((layer) => layer.includes(place));
  const from = placeOf(file.path);
  if (from === undefined) return [`${file.path} has no place in the order`];
  return targetsOf([file])
    .map(({ target }) => target)
    .filter((target) => target.startsWith(folder))
    .filter((target) => {
      const to = placeOf(target);
      return to === undefined || (to !== from && rankOf(to) <= rankOf(from));
    })
    .map((target) => `${file.path} imports ${target}`);
}

function packageBreaches(files: readonly SourceFile[], name: RegExp, places: readonly string[]): Breach[] {
  return files
    .filter(({ path }) => !isIn(path, places))
    .flatMap(({ path, imports }) =>
      imports.filter(({ specifier }) => name.test(specifier)).map(({ specifier }) => `${path} imports ${specifier}`),
    );
}

function findCycles(files: readonly SourceFile[]): Breach[] {
  const targets = new Map(files.map((file) => [file.path, targetsOf([file]).map(({ target }) => target)] as const));
  const finished = new Set<string>();
  const breaches: Breach[] = [];
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start !== -1) breaches.push([...trail.slice(start), path].join(' -> '));
    if (start !== -1 || finished.has(path)) return;
    for (const target of targets.get(path) ?? []) visit(target, [...trail, path]);
    finished.add(path);
  };
  for (const { path } of files) visit(path, []);
  return breaches;
}
