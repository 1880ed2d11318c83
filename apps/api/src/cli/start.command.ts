import { ApiClient } from './api-client.js';
import { mintToken } from './bearer-token.js';
import { formatBytes, formatSeconds } from './byte-text.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { openFoundation } from './foundation.js';
import { interrupted } from './interruption.js';
import { migrateDatabase } from './migrate.command.js';
import { prepareStorage } from './prepare-storage.js';
import { findRunningProduct, publishRunningProduct, READY_FILE, withdrawRunningProduct } from './running-product.js';
import { bringSampleRecording, type SampleRecording } from './sample-recording.js';
import { openSampleSource } from './sample-source.js';
import { assertApiPortFree, startApi } from './start-api.js';
import { type ReadyReport, reportStep, reportWhereToLook } from './start-report.js';
import { faint, print, strong } from './terminal.js';

/** A working day: what stands in a terminal's history is soon worth nothing. */
const TOKEN_EXPIRES_IN = '12h';

/**
 * The whole product in one command: database, store, migrations, bucket, API, and a sample recording that goes all the
 * way. Resolves after Ctrl-C; what was started is stopped with `context.opened`, the API first.
 *
 * @throws CliError ALREADY_RUNNING, PORT_TAKEN, BUCKET_NOT_READY, SAMPLE_FAILED ...: one line with what to do
 */
export async function start(context: CommandContext): Promise<void> {
  const { dataFolder } = context.settings;
  const startedAt = performance.now();
  await makeWay(context);
  print(`\n  ${strong('s3-transfer')}`, `${faint('is starting; Ctrl-C stops everything')}\n`);
  // Deferred first, so said last.
  context.opened.defer(() => print(`  ${faint(`Stopped. The data stays in ${dataFolder.path}`)}`));

  const workspaceId = await dataFolder.workspaceId();
  const { apiUrl, sampleUrl } = await startProduct(context, workspaceId);
  const token = await mintDevelopmentToken(workspaceId);
  const recording = token === null ? null : await sendSample(context, { apiUrl, token, workspaceId, sampleUrl });
  const report: ReadyReport = {
    apiUrl,
    webUrl: null,
    docsUrl: `${apiUrl}/docs`,
    workspaceId,
    token,
    recordingId: recording?.recordingId ?? null,
    videoUrl: recording?.videoUrl ?? null,
    videoUrlExpiresAt: recording?.videoUrlExpiresAt ?? null,
    file: recording?.file ?? null,
  };
  await dataFolder.writeJson(READY_FILE, report);
  reportStep(
    'Ready',
    `in ${formatSeconds((performance.now() - startedAt) / 1_000)}`,
    `${dataFolder.path}/${READY_FILE}`,
  );
  reportWhereToLook(report);

  await interrupted(context.interruption);
  print(`\n  ${faint('Stopping ...')}`);
}

/** Refuses to start twice on the same data, removes what a killed run has left, and looks at the port first. */
async function makeWay({ settings }: CommandContext): Promise<void> {
  const running = await findRunningProduct(settings.dataFolder);
  if (running) {
    const { apiUrl, pid } = running;
    throw new CliError(
      'ALREADY_RUNNING',
      `the product runs already: ${apiUrl}, process ${pid}; see ${settings.dataFolder.path}/${READY_FILE}`,
    );
  }
  await withdrawRunningProduct(settings.dataFolder);
  await assertApiPortFree();
}

/** Database, store and API, in the order in which they need each other. */
async function startProduct(
  context: CommandContext,
  workspaceId: string,
): Promise<{ apiUrl: string; sampleUrl: string }> {
  const { settings, interruption, opened } = context;
  const foundation = await openFoundation(context);
  const applied = await migrateDatabase(process.env.DATABASE_URL ?? '');
  reportStep('PostgreSQL', foundation.databaseAddress, `${foundation.database}; ${describeMigrations(applied.length)}`);
  // What was changed on a database of the user's own is theirs to know.
  if (foundation.database === 'own') for (const name of applied) print(`    applied ${name}`);
  interruption.throwIfAborted();

  const { bucket, notes } = await prepareStorage(context, foundation, workspaceId);
  reportStep('S3 store', foundation.storeAddress, `${foundation.store}; bucket ${bucket}`);
  for (const note of notes) print(`    ${note}`);
  interruption.throwIfAborted();

  const sample = await openSampleSource(context);
  const apiUrl = await startApi(context);
  opened.defer(() => withdrawRunningProduct(settings.dataFolder));
  await publishRunningProduct(settings.dataFolder, { pid: process.pid, apiUrl, embedded: foundation.embedded });
  reportStep('API', apiUrl, `docs at ${apiUrl}/docs`);
  return { apiUrl, sampleUrl: sample.url };
}

/** null where tokens come from an identity provider. */
async function mintDevelopmentToken(workspaceId: string): Promise<string | null> {
  const { AUTH_JWT_SECRET: secret } = process.env;
  if (secret)
    return await mintToken({ secret, workspaces: [workspaceId], subject: 'developer', expiresIn: TOKEN_EXPIRES_IN });
  print('    The sample is not sent: AUTH_JWKS_URL is set, so tokens come from your identity provider.');
  return null;
}

async function sendSample(
  { settings, interruption }: CommandContext,
  { apiUrl, token, workspaceId, sampleUrl }: Record<'apiUrl' | 'token' | 'workspaceId' | 'sampleUrl', string>,
): Promise<SampleRecording> {
  const api = new ApiClient(apiUrl, token, interruption);
  const { dataFolder } = settings;
  const recording = await bringSampleRecording({ api, dataFolder, workspaceId, sourceUrl: sampleUrl, interruption });
  const { file, tookSeconds } = recording;
  const how =
    tookSeconds === null ? 'DONE in an earlier run' : `recording.ready -> DONE in ${formatSeconds(tookSeconds)}`;
  reportStep('Sample', formatBytes(Number(file.size)), how);
  return recording;
}

function describeMigrations(count: number): string {
  if (count === 0) return 'migrations are up to date';
  return count === 1 ? '1 migration applied' : `${count} migrations applied`;
}
