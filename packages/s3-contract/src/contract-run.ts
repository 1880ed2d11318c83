import { randomBytes } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';
import { CaseContext } from './case-context.js';
import { removeBelow, removeBucket, removeObjects } from './clean-up.js';
import type { CaseResult, ContractCase, ContractStore, Need } from './contract.js';
import { ContractShortfall } from './contract.js';
import { describeFailure } from './expectations.js';
import { clientFor } from './store-client.js';

/** Longer than the slowest case took on any server, by a factor of five. */
const CASE_TIMEOUT_MS = 120_000;

const LACKS: Readonly<Record<Need, string>> = {
  restart: 'this server cannot be killed by the suite',
  buckets: 'no buckets may be made',
  'lifecycle-day': 'a lifecycle day lasts a day here',
  own: 'could do harm on a server that takes an unknown request for another one',
};

/** Runs cases one after the other on one store, below one prefix. */
export class ContractRun {
  readonly #prefix = `s3-contract-${randomBytes(6).toString('hex')}/`;

  constructor(private readonly store: ContractStore) {}

  /** Never rejects: whatever goes wrong in a case is its result. */
  async run(contractCase: ContractCase): Promise<CaseResult> {
    const { id, area, title, needs = [] } = contractCase;
    const started = performance.now();
    const result = (outcome: CaseResult['outcome'], did?: string): CaseResult => {
      const ms = Math.round(performance.now() - started);
      return { id, area, title, outcome, ...(did === undefined ? {} : { did }), ms };
    };
    const missing = needs.find((need) => !this.#offers(need));
    if (missing !== undefined) return result('skipped', LACKS[missing]);

    const context = new CaseContext(this.store, `${this.#prefix}${id}/`, needs.includes('own'));
    let outcome: CaseResult;
    try {
      await withinTimeout(contractCase.run(context));
      outcome = result('ok');
    } catch (error) {
      // Without the run's own prefix, so that two runs say the same.
      outcome = result('short', describeFailure(error).replaceAll(this.#prefix, '.../'));
    }
    await this.#removeTracesOf(context);
    return outcome;
  }

  /** Removes what cases left behind. @throws the store's error when it can be listed no more */
  async close(): Promise<void> {
    await this.#withClient((client) => removeBelow(client, this.store.bucket, this.#prefix));
  }

  #offers(need: Need): boolean {
    switch (need) {
      case 'restart':
        return this.store.restart !== undefined;
      case 'buckets':
        return this.store.makesBuckets !== false;
      case 'lifecycle-day':
        return this.store.lifecycleDayMs !== undefined;
      case 'own':
        return this.store.isOwn === true;
    }
  }

  async #removeTracesOf(context: CaseContext): Promise<void> {
    const { keys, buckets } = context.end();
    await this.#withClient(async (client) => {
      // By name first: one key that a store cannot list must not keep the others of the run from being listed.
      await removeObjects(client, this.store.bucket, keys);
      // A bucket that cannot be removed is no finding about the case; its name says whose it is.
      for (const bucket of buckets) await removeBucket(client, bucket).catch(() => undefined);
    });
  }

  async #withClient(use: (client: S3Client) => Promise<void>): Promise<void> {
    const client = clientFor(this.store, { requestChecksumCalculation: 'WHEN_REQUIRED', maxAttempts: 3 });
    try {
      await use(client);
    } finally {
      client.destroy();
    }
  }
}

async function withinTimeout(running: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    const did = `did not end within ${CASE_TIMEOUT_MS / 1000} s`;
    timer = setTimeout(() => reject(new ContractShortfall(did)), CASE_TIMEOUT_MS);
  });
  try {
    await Promise.race([running, expired]);
  } finally {
    clearTimeout(timer);
  }
}
