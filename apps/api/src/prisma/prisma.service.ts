import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { ENVIRONMENT, type Environment } from '../config/env.js';
import { type Prisma, PrismaClient } from '../generated/prisma/client.js';
import { isConflict, toDatabaseError } from './database-error.js';
import { limitSilence } from './silence-limit.js';

/** A query that waits longer for a connection fails: callers hold sockets and leases of their own meanwhile. */
const CONNECTION_TIMEOUT_MS = 5_000;

/** Prisma's own are 2 s and 5 s: a transaction waits for its connection as long as a query, and then has its time. */
const TRANSACTION_LIMITS = { maxWait: CONNECTION_TIMEOUT_MS, timeout: 15_000 };
/** Times that a statement or transaction is asked which gives way to another, and the longest wait before the next, in ms. */
const CONFLICT_TRIES = 5;
const CONFLICT_DELAY_MS = 100;

function createClient(environment: Environment): PrismaClient {
  const adapter = new PrismaPg({
    connectionString: environment.DATABASE_URL,
    connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
    ...limitSilence(environment),
  });
  return new PrismaClient({ adapter });
}

function withPatience(client: PrismaClient) {
  return client.$extends({ query: { $allOperations: ({ args, query }) => askAgain(() => query(args)) } });
}

/** What gave way changed nothing, so it may be asked again; a database that does not serve now is told as such. */
async function askAgain<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!isConflict(error) || tries >= CONFLICT_TRIES) throw toDatabaseError(error);
    }
    // Two that met meet again where they wait for the same time.
    await sleep(Math.random() * CONFLICT_DELAY_MS);
  }
}

/** The client within a transaction. */
export type Transaction = Prisma.TransactionClient;

/** The one connection pool of the process. Connects with the first query and ends with the app. */
@Injectable()
export class PrismaService implements OnApplicationShutdown {
  readonly client: ReturnType<typeof withPatience>;
  /** On the same pool: of a transaction no single statement can be asked again. */
  private readonly plain: PrismaClient;

  constructor(@Inject(ENVIRONMENT) environment: Environment) {
    this.plain = createClient(environment);
    this.client = withPatience(this.plain);
  }

  /**
   * Runs `task` in one transaction. What it throws rolls everything back; a transaction that gives way to another is run
   * again, so `task` changes nothing but the database.
   */
  async transaction<Result>(task: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return await askAgain(() => this.plain.$transaction(task, TRANSACTION_LIMITS));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.plain.$disconnect();
  }
}
