import { ENVIRONMENT, type Environment } from '../config/env.js';
import { FindingRepair } from '../storage/cleanup/finding-repair.js';
import { FINDINGS, type Finding, type FindingKind, Reconciliation } from '../storage/cleanup/reconciliation.js';
import { S3Service } from '../storage/s3.service.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { openFoundation } from './foundation.js';
import { openStorage } from './storage-context.js';
import { faint, print, strong, warn } from './terminal.js';

const HOUR_MS = 3_600_000;
/** Ten years: a longer time of grace is a slip of the hand. */
const GRACE_MAX_HOURS = 87_600;

interface ReconcileChoice {
  repair?: boolean;
  graceHours: string;
  after?: string;
  hash?: boolean;
  bucket?: string;
  json?: boolean;
}

/** What a run has seen. */
class Totals {
  looked = 0;
  repaired = 0;
  readonly findings: Partial<Record<FindingKind, number>> = {};

  add({ kind }: Finding, isRepaired: boolean): void {
    this.findings[kind] = (this.findings[kind] ?? 0) + 1;
    if (isRepaired) this.repaired += 1;
  }

  /** Somebody else's objects are no difference. */
  get left(): number {
    const { 'foreign-object': foreign = 0, ...others } = this.findings;
    return Object.values(others).reduce((sum, count) => sum + count, 0) - this.repaired;
  }
}

/**
 * Prints each difference as it is found, and, when the run breaks off, the key from which another goes on.
 *
 * @throws CliError DIFFERENCES_FOUND when some are left, USAGE; StorageError BUCKET_NOT_FOUND, STORE_*
 */
export async function reconcile(context: CommandContext, choice: ReconcileChoice): Promise<void> {
  const graceMs = readGraceHours(choice.graceHours) * HOUR_MS;
  await openFoundation(context);
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  const bucket = choice.bucket ?? storage.get(S3Service).getDefaultBucket();
  const { TRANSFER_LEASE_SECONDS } = storage.get<Environment>(ENVIRONMENT, { strict: false });
  const repair = choice.repair ? storage.get(FindingRepair, { strict: false }) : undefined;
  const steps = storage.get(Reconciliation, { strict: false }).run({
    bucket,
    graceMs,
    waitingMs: (TRANSFER_LEASE_SECONDS + 60) * 1_000,
    after: choice.after,
    withHash: choice.hash ?? false,
    signal: context.interruption,
  });
  const totals = new Totals();
  let position: string | null | undefined = choice.after;
  let isWhole = false;
  try {
    for await (const step of steps) {
      totals.looked += step.looked;
      for (const finding of step.findings) {
        const isRepaired = (await repair?.note(bucket, finding)) ?? false;
        totals.add(finding, isRepaired);
        show(finding, isRepaired, choice.json);
      }
      position = step.position ?? position;
    }
    await repair?.removeNow();
    isWhole = true;
  } finally {
    if (!isWhole && position) warn(`Not finished. Go on with: --after ${JSON.stringify(position)}`);
  }
  conclude(bucket, totals, choice);
}

function readGraceHours(text: string): number {
  const hours = Number(text);
  if (text.trim() !== '' && hours >= 0 && hours <= GRACE_MAX_HOURS) return hours;
  throw new CliError('USAGE', `--grace-hours must be a number of hours from 0 to ${GRACE_MAX_HOURS}`);
}

function show(finding: Finding, isRepaired: boolean, json: boolean | undefined): void {
  if (json) {
    print(JSON.stringify({ ...finding, repaired: isRepaired }));
    return;
  }
  const { kind, key, fileId, uploadId, what } = finding;
  const ids = [fileId && `file ${fileId}`, uploadId && `upload ${uploadId}`].filter(Boolean).join(', ');
  print(
    strong(kind),
    key,
    what,
    faint([ids, isRepaired ? 'handed to the purge worker' : ''].filter(Boolean).join('; ')),
  );
}

function conclude(bucket: string, totals: Totals, { repair, json }: ReconcileChoice): void {
  const { looked, repaired, left, findings } = totals;
  if (json) print(JSON.stringify({ bucket, looked, findings, repaired, left }));
  else {
    print(`Bucket ${bucket}: looked at ${looked} keys and uploads.`);
    for (const [kind, count] of Object.entries(findings)) {
      print(`  ${String(count).padStart(8)}  ${FINDINGS[kind as FindingKind]}`);
    }
    if (repaired > 0)
      print(`  ${String(repaired).padStart(8)}  of them are removed, and looked at once more by the workers`);
  }
  if (left === 0) return;
  const hint = repair ? 'they need a person' : 'those that a transfer left are removed with --repair';
  throw new CliError(
    'DIFFERENCES_FOUND',
    `${left} difference${left === 1 ? '' : 's'} between bucket and rows; ${hint}`,
  );
}
