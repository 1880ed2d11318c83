import { styleText } from 'node:util';
import { ENVIRONMENT, type Environment } from '../config/env.js';
import { BucketSettings } from '../storage/s3/bucket-settings.js';
import { type Finding, type StoreDiagnosis, StoreDoctor } from '../storage/s3/store-doctor.js';
import { CliError } from './cli-error.js';
import type { CommandContext } from './command-context.js';
import { openFoundation } from './foundation.js';
import { openStorage } from './storage-context.js';

const MARKS: Record<Finding['verdict'], string> = {
  ok: styleText('green', '✓'),
  note: styleText('blue', 'i'),
  warning: styleText('yellow', '!'),
  problem: styleText('red', '✗'),
};

/** Says what the store can do and what the key may. @throws CliError STORE_PROBLEM when something keeps it from working */
export async function examineStore(context: CommandContext, { json }: { json?: boolean }): Promise<void> {
  const foundation = await openFoundation(context);
  const storage = await openStorage(context);
  context.opened.defer(() => storage.close());
  if (foundation.store === 'embedded') await storage.get(BucketSettings, { strict: false }).createIfAbsent();
  const { WEB_ORIGINS } = storage.get<Environment>(ENVIRONMENT, { strict: false });
  const diagnosis = await storage.get(StoreDoctor, { strict: false }).examine(WEB_ORIGINS);
  console.log(json ? JSON.stringify(diagnosis, null, 2) : describe(diagnosis));
  const problems = diagnosis.findings.filter(({ verdict }) => verdict === 'problem').length;
  if (problems > 0) {
    throw new CliError(
      'STORE_PROBLEM',
      `${problems} problem${problems === 1 ? '' : 's'} with bucket ${diagnosis.bucket}`,
    );
  }
}

function describe({ store, endpoint, bucket, findings }: StoreDiagnosis): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, verdict, says, advice }) => [
    `  ${MARKS[verdict]} ${check.padEnd(width)}  ${says}`,
    ...(advice === undefined ? [] : [`    ${' '.repeat(width)}  ${styleText('dim', advice)}`]),
  ]);
  return [`\n  ${styleText('bold', store.title)} at ${new URL(endpoint).host}, bucket ${bucket}\n`, ...lines, ''].join(
    '\n',
  );
}
