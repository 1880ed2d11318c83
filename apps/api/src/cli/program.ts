import { Command, Option } from 'commander';
import type { CommandContext } from './command-context.js';
import { CORS_ENVIRONMENTS } from './cors-rules.js';
import { readSettings } from './settings.js';

/**
 * The commands with their help. What a command does is loaded only when it is called: `--help` and a wrong option
 * answer at once.
 */
export function createProgram(process: Pick<CommandContext, 'interruption' | 'opened'>): Command {
  const program = new Command('pnpm storage')
    .description('Brings files from URLs into an S3-compatible bucket, and gives them out again.')
    .option('--data-dir <folder>', 'data of the embedded servers (default: DATA_DIR, else .data in the repository)')
    .option('--verbose', 'more of the log, and the stack of an error')
    .showHelpAfterError('(--help shows the options)')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      'after',
      `
Settings come from the environment and from .env; .env.example explains each.
Without DATABASE_URL an embedded PostgreSQL is used, without S3_ENDPOINT an embedded S3 store.`,
    );

  const contextOf = (): CommandContext => {
    const { dataDir, verbose } = program.opts<{ dataDir?: string; verbose?: boolean }>();
    return { ...process, settings: readSettings({ dataDir }), isVerbose: verbose ?? false };
  };

  program
    .command('start')
    .description('run the whole product and send a sample recording through it; Ctrl-C stops everything')
    .action(async () => {
      const { start } = await import('./start.command.js');
      await start(contextOf());
    });

  program
    .command('transfer')
    .description('transfer one URL into the bucket and print its row and a presigned URL')
    .argument('[url]', 'http(s) URL of the file; left out: the sample recording')
    .option('--path <path>', 'place in the bucket (default: imports/<workspace>/<uuid>/<name in the URL>)')
    .option('--type <type>', 'what the file is to the product', 'import')
    .option('--mime-type <type>', 'type to store and serve, such as video/mp4')
    .option('--workspace <id>', 'owner of the file (default: the development workspace)')
    .action(async (url: string | undefined, options) => {
      const { transfer } = await import('./transfer.command.js');
      await transfer(contextOf(), { url, ...options });
    });

  program
    .command('worker')
    .description('run the transfers of the queue in a process of their own; Ctrl-C hands them over')
    .action(async () => {
      const { work } = await import('./worker.command.js');
      await work(contextOf());
    });

  program
    .command('cancel')
    .description('end the transfer of a file, in whatever process it runs: its parts are removed, its row is FAILED')
    .argument('<fileId>', 'id of the file')
    .option('--workspace <id>', 'owner of the file (default: the development workspace)')
    .action(async (id: string, options) => {
      const { cancelTransfer } = await import('./transfers.command.js');
      await cancelTransfer(contextOf(), { id, ...options });
    });

  program
    .command('retry')
    .description('transfer a FAILED file again with the source that its row keeps; a waiting one at once')
    .argument('<fileId>', 'id of the file')
    .option('--workspace <id>', 'owner of the file (default: the development workspace)')
    .action(async (id: string, options) => {
      const { retryTransfer } = await import('./transfers.command.js');
      await retryTransfer(contextOf(), { id, ...options });
    });

  program
    .command('usage')
    .description('files and bytes that a workspace had of the present day (UTC), and its quotas')
    .option('--workspace <id>', 'the workspace (default: the development workspace)')
    .action(async (options) => {
      const { printUsage } = await import('./transfers.command.js');
      await printUsage(contextOf(), options);
    });

  program
    .command('token')
    .description('print a bearer token for the API, signed with AUTH_JWT_SECRET')
    .option('--workspace <id...>', 'workspaces that it opens (default: the development workspace)')
    .option('--subject <subject>', 'who it is for', 'developer')
    .option('--expires-in <time>', 'how long it is good for, such as 30m or 12h', '12h')
    .action(async (options) => {
      const { printToken } = await import('./token.command.js');
      await printToken(contextOf(), options);
    });

  program
    .command('migrate')
    .description('apply the migrations that the database at DATABASE_URL does not have yet')
    .action(async () => {
      const { migrate } = await import('./migrate.command.js');
      await migrate(contextOf());
    });

  program
    .command('doctor')
    .description('examine the store: what it can do, what the key may; exit code 1 when something is wrong')
    .option('--json', 'as one JSON object')
    .action(async (options) => {
      const { examineStore } = await import('./doctor.command.js');
      await examineStore(contextOf(), options);
    });

  program
    .command('reconcile')
    .description(
      'find where bucket and rows differ; changes nothing without --repair; exit code 1 when something is left',
    )
    .option('--repair', 'remove what a transfer of this product left, and nothing else')
    .option('--grace-hours <hours>', 'age that an object or upload must have before it is missed', '24')
    .option('--after <key>', 'go on from this key, which an earlier run printed')
    .option('--hash', 'read every object and compare its SHA-256')
    .option('--bucket <bucket>', 'another bucket than S3_BUCKET')
    .option('--json', 'one JSON object a line, the last one with the totals')
    .action(async (options) => {
      const { reconcile } = await import('./reconcile.command.js');
      await reconcile(contextOf(), options);
    });

  program
    .command('audit')
    .description('hold database and bucket against the rules that always hold; exit code 1 when one is broken')
    .option('--hash', 'read every object and compare its SHA-256')
    .option('--json', 'as one JSON object')
    .action(async (options) => {
      const { audit } = await import('./audit.command.js');
      await audit(contextOf(), options);
    });

  const cors = program.command('cors').description('CORS rules of the bucket, from infra/s3/cors-<env>.json');
  const environmentOption = () => new Option('--env <env>', 'whose rules').choices(CORS_ENVIRONMENTS);
  cors
    .command('apply')
    .description("replace the bucket's CORS rules")
    .addOption(environmentOption().makeOptionMandatory())
    .option('--bucket <bucket>', 'another bucket than S3_BUCKET')
    .action(async (options) => {
      const { applyCors } = await import('./cors.command.js');
      await applyCors(contextOf(), options);
    });
  cors
    .command('verify')
    .description("compare the bucket's CORS rules; exit code 1 when they differ")
    .addOption(environmentOption().makeOptionMandatory())
    .option('--bucket <bucket>', 'another bucket than S3_BUCKET')
    .action(async (options) => {
      const { verifyCors } = await import('./cors.command.js');
      await verifyCors(contextOf(), options);
    });

  program
    .command('webhooks')
    .description('deliveries of events to webhooks')
    .command('replay')
    .description('send a delivery again, or all of an event, whatever became of them')
    .argument('[deliveryId]', 'which delivery')
    .option('--event <eventId>', 'all deliveries of this event')
    .action(async (deliveryId: string | undefined, options) => {
      const { replayWebhooks } = await import('./webhooks.command.js');
      await replayWebhooks(contextOf(), { deliveryId, ...options });
    });

  return program;
}
