import { type AuditOptions, InvariantAudit } from '../../src/storage/cleanup/invariants.js';
import type { TestStorage } from './test-storage.js';

/**
 * Holds database and bucket against the rules that always hold, every byte included. Call it when all has come to rest:
 * an object or an upload without an owner is not given time to find one.
 *
 * @throws Error with every violation
 */
export async function verifyInvariants(
  storage: Pick<TestStorage, 'get'>,
  options: AuditOptions = { withHash: true, graceMs: 0 },
): Promise<void> {
  const { violations, results } = await storage.get(InvariantAudit).run(options);
  if (violations === 0) return;
  const lines = results.flatMap((result) =>
    result.violations.map(({ rule, fileId, key, what }) => [rule, fileId, key, what].filter(Boolean).join('  ')),
  );
  throw new Error(`${violations} violations:\n${lines.join('\n')}`);
}
