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
import { faint, good, print, strong } from './terminal.js';

/** A working day: what stands in a terminal's history is soon worth nothing. */
const TOKEN_EXPIRES_IN = '12h';

/**
 * The whole product in one command: database, store, migrations, bucket, API, and a sample recording that goes all the
 * way. Resolves after Ctrl-C; what was started is stopped with `context.opened`, the API first.
 *
 * @throws CliError ALREADY_RUNNING, PORT_TAKEN, BUCKET_NOT_READY, SAMPLE_FAILED ...: one line with what to do
 */
export async function start(context: CommandContext): Promise<void> {
  const { settings, interruption, opened } = context;
  const { dataFolder } = settings;
  const startedAt = performance.now();

  const running = await findRunningProduct(dataFolder);
  if (running) {
    throw new CliError(
      'ALREADY_RUNNING',
      `start runs already on ${dataFolder.path}: ${running.apiUrl} (process ${running.pid})`,
    );
  }
  await withdrawRunningProduct(dataFolder);
  await assertApiPortFree();

  print(`\n  ${strong('s3-transfer')}  ${faint('is starting; Ctrl-C stops everything')}\n`);
  const foundation = await openFoundation(context);
  const applied = await migrateDatabase(process.env.DATABASE_URL ?? '');
  const migrations = applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`;
  done('PostgreSQL', `${foundation.databaseAddress}  ${faint(`${foundation.database}; migrations ${migrations}`)}`);
  interruption.throwIfAborted();

  const workspaceId = await dataFolder.workspaceId();
  const { bucket, notes } = await prepareStorage(context, foundation, workspaceId);
  done('S3 store', `${foundation.storeAddress}  ${faint(`${foundation.store}; bucket ${bucket}`)}`);
  for (const note of notes) print(`    ${note}`);
  interruption.throwIfAborted();

  const sample = await openSampleSource(context);
  const apiUrl = await startApi(context);
  opened.defer(() => withdrawRunningProduct(dataFolder));
  await publishRunningProduct(dataFolder, { pid: process.pid, apiUrl, embedded: foundation.embedded });
  done('API', `${apiUrl}  ${faint(`docs at ${apiUrl}/docs`)}`);

  const token = await mintDevelopmentToken(workspaceId);
  const recording =
    token === null
      ? null
      : await bringSampleRecording({
          api: new ApiClient(apiUrl, token, interruption),
          dataFolder,
          workspaceId,
          sourceUrl: sample.url,
          interruption,
        });
  if (recording) done('Sample', describeSample(recording));
  else print(`  ${faint('- Sample      not sent: AUTH_JWKS_URL is set, so tokens come from your identity provider')}`);

  await dataFolder.writeJson(READY_FILE, {
    apiUrl,
    webUrl: null,
    docsUrl: `${apiUrl}/docs`,
    workspaceId,
    token,
    recordingId: recording?.recordingId ?? null,
    videoUrl: recording?.videoUrl ?? null,
    videoUrlExpiresAt: recording?.videoUrlExpiresAt ?? null,
    file: recording?.file ?? null,
  });
  done(
    'Ready',
    faint(
      `after ${formatSeconds((performance.now() - startedAt) / 1_000)}; details in ${dataFolder.path}/${READY_FILE}`,
    ),
  );
  printWhereToLook({ apiUrl, workspaceId, token, recording });

  await interrupted(interruption);
  print(`\n  ${faint('Stopping ...')}`);
}

function done(label: string, text: string): void {
  print(`  ${good('✓')} ${label.padEnd(11)} ${text}`);
}

async function mintDevelopmentToken(workspaceId: string): Promise<string | null> {
  const { AUTH_JWT_SECRET: secret } = process.env;
  if (!secret) return null;
  return await mintToken({ secret, workspaces: [workspaceId], subject: 'developer', expiresIn: TOKEN_EXPIRES_IN });
}

function describeSample({ file, tookSeconds }: SampleRecording): string {
  const size = formatBytes(Number(file.size));
  const how = tookSeconds === null ? 'from an earlier run' : `recording.ready -> DONE in ${formatSeconds(tookSeconds)}`;
  return `${size}  ${faint(`${how}; ${file.bucket}/${file.path}`)}`;
}

/** URLs stand alone and whole on a line of their own: a terminal makes them links, and a double click takes all of one. */
function printWhereToLook(place: {
  apiUrl: string;
  workspaceId: string;
  token: string | null;
  recording: SampleRecording | null;
}) {
  const { apiUrl, workspaceId, token, recording } = place;
  if (recording) {
    print(
      `\n  ${strong('Watch the video')}  ${faint(`presigned, until ${recording.videoUrlExpiresAt}`)}\n\n${recording.videoUrl}`,
    );
  }
  if (token) {
    print(
      `\n  ${strong('Ask the API')}  ${faint(`the token is good for ${TOKEN_EXPIRES_IN}; pnpm storage token mints another`)}\n`,
    );
    print(`curl -H 'Authorization: Bearer ${token}' ${apiUrl}/workspaces/${workspaceId}/files`);
  }
  print(
    `\n  ${strong('Transfer a file of your own')}  ${faint('in another terminal')}\n\nnpx -y pnpm@12 transfer https://...\n`,
  );
}
