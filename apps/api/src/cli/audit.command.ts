import { type AuditReport, InvariantAudit } from '../storage/cleanup/invariants.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { openFoundation } from './foundation.js';
import { openStorage } from './storage-context.js';
import { faint, good, print, strong } from './terminal.js';

/** Violations of one rule that are shown to people; --json has up to 1,000. */
const SHOWN = 20;

/** What no look at database and bucket can tell, and what does. */
const NOT_SEEN = [
  "that the bytes are the source's: a row's SHA-256 was taken while they came, and --hash compares it with the object",
  'that a writer which lost its lease wrote nothing: the tests with killed and frozen processes show it',
  'the memory of transfers: pnpm bench measures it',
  'what logs, traces and answers hold: their tests look for planted secrets',
  'objects at places of other programs: what carries no token of a transfer is only counted',
];

/** Prints a receipt. @throws CliError RULES_VIOLATED; StorageError BUCKET_NOT_FOUND, STORE_* */
export async function audit(
  context: CommandContext,
  { hash, json }: { hash?: boolean; json?: boolean },
): Promise<void> {
  await openFoundation(context);
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  const startedAt = new Date();
  const report = await storage
    .get(InvariantAudit, { strict: false })
    .run({ withHash: hash ?? false, signal: context.interruption });
  const times = { startedAt: startedAt.toISOString(), finishedAt: new Date().toISOString() };
  if (json) console.log(JSON.stringify({ ...times, ...report, notSeen: NOT_SEEN }, null, 2));
  else describe(report, times);
  if (report.violations > 0) {
    throw new CliError('RULES_VIOLATED', `${report.violations} violation${report.violations === 1 ? '' : 's'}`);
  }
}

function describe(report: AuditReport, { startedAt, finishedAt }: { startedAt: string; finishedAt: string }): void {
  print(strong('Audit'), `${startedAt} to ${finishedAt}`, `bucket ${report.buckets.join(', ')}`);
  print(faint(report.withHash ? 'every byte was read' : 'of each object the first and the last byte were read'));
  print('   checked  violations  rule');
  for (const { says, checked, found, violations } of report.results) {
    const count = String(found).padStart(10);
    print(`${String(checked).padStart(10)}  ${found === 0 ? good(count) : strong(count)}  ${says}`);
    for (const { fileId, key, what } of violations.slice(0, SHOWN)) {
      print(`${' '.repeat(24)}`, [what, key, fileId && `file ${fileId}`].filter(Boolean).join('  '));
    }
    if (found > SHOWN) print(' '.repeat(24), `and ${found - SHOWN} more: --json`);
  }
  if (report.foreignObjects > 0) print(`Objects without a row that no transfer made: ${report.foreignObjects}.`);
  print('');
  print('Not to be seen from outside:');
  for (const text of NOT_SEEN) print(`  - ${text}`);
}
