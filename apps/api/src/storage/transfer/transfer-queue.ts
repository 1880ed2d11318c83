import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { fromPrisma, PgBoss } from 'pg-boss';
import { ENVIRONMENT, type Environment } from '../../config/env.js';
import { toDatabaseError } from '../../prisma/database-error.js';
import { limitSilence } from '../../prisma/silence-limit.js';
import { makeLaneIndex, type Shares, takeFairly } from './fair-take.js';

/** Also the name of the table of its jobs. */
const QUEUE = 'storage-transfer';
/** An owner that is silent for this long is dead, in s: pg-boss gives its job out again. The row's own lease decides before. */
const HEARTBEAT_SECONDS = 30;
/** Longest that pg-boss allows, in s. A longer transfer's job comes again, finds the row leased, and ends. */
const EXPIRE_SECONDS = 24 * 60 * 60 - 1;
/** A job says "look at this row", so that another one too many does no harm, and one too few is sent again by the recovery. */
const RETRIES = 1_000;
/** Ended jobs are of no use to anybody; the row tells what happened. In s. */
const KEEP_ENDED_SECONDS = 60;
/** Of a process that works on the queue; one that only sends tickets leaves the queue's own upkeep to those, and needs fewer. */
const CONNECTIONS = 4;
const SENDER_CONNECTIONS = 2;
const FIRST_START_RETRY_MS = 500;
const LONGEST_START_RETRY_MS = 10_000;

/** A running transaction of Prisma's client. */
export interface QueueTransaction {
  $queryRawUnsafe<Rows = unknown>(query: string, ...values: unknown[]): Promise<Rows>;
}

export interface TransferTicket {
  readonly fileId: string;
  /** Workspaces take turns, and each is held to a number of tickets at once. */
  readonly workspaceId: string;
  /** Where its bytes come from; so do hosts. Null: from no host. */
  readonly host: string | null;
  /** Not before; absent: at once. */
  readonly delayMs?: number;
}

/** What a ticket is made of: a row, or its columns. */
export interface TicketOrigin {
  readonly id: string;
  readonly workspaceId: string;
  readonly sourceUrl?: string | null;
}

export function ticketOf({ id, workspaceId, sourceUrl }: TicketOrigin, delayMs = 0): TransferTicket {
  return { fileId: id, workspaceId, host: URL.parse(sourceUrl ?? '')?.host ?? null, delayMs };
}

/** A ticket that this process holds until `complete`. */
export interface HeldTicket {
  readonly jobId: string;
  readonly fileId: string;
}

interface TicketData {
  fileId: string;
  host?: string;
}

interface TakenJob {
  id: string;
  data: TicketData;
}

/**
 * Tickets "look at this row" on pg-boss, in the same PostgreSQL as the rows, so that a row and its ticket are committed
 * together. At least once, and in no strict order: what may be done is decided by the row's lease alone.
 */
@Injectable()
export class TransferQueue implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(TransferQueue.name);
  private readonly boss: PgBoss;
  private readonly stop = new AbortController();
  private starting: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(@Inject(ENVIRONMENT) environment: Environment) {
    const isWorker = environment.TRANSFER_WORKER === 'all';
    this.boss = new PgBoss({
      connectionString: environment.DATABASE_URL,
      ...limitSilence(environment),
      max: isWorker ? CONNECTIONS : SENDER_CONNECTIONS,
      supervise: isWorker,
      application_name: 's3-transfer-queue',
      schedule: false,
      monitorIntervalSeconds: 10,
      superviseIntervalSeconds: 10,
      registerInstance: false,
      openTelemetry: { enabled: false },
    });
    this.boss.on('error', (error) => this.logger.warn({ err: error }, 'the queue could not do its rounds; it goes on'));
  }

  /** In the background: the app answers, and says that it is not ready, while its database is away. */
  onApplicationBootstrap(): void {
    this.startPatiently(FIRST_START_RETRY_MS);
  }

  /** After every worker and transfer has ended, which still send. */
  async onApplicationShutdown(): Promise<void> {
    this.stop.abort();
    clearTimeout(this.timer);
    const started = await this.starting?.then(
      () => true,
      () => false,
    );
    if (started) await this.boss.stop({ graceful: false });
  }

  /** Makes the ticket of a new row part of the transaction. One that waits for the row already is left as it is. */
  async send(transaction: QueueTransaction, ticket: TransferTicket): Promise<void> {
    await this.started();
    await this.boss.send(QUEUE, dataOf(ticket), optionsOf(transaction, ticket));
  }

  /** The same for a row that may have a ticket: one that waits is moved to the new time. */
  async sendAgain(transaction: QueueTransaction, ticket: TransferTicket): Promise<void> {
    await this.started();
    await this.boss.upsert(QUEUE, dataOf(ticket), optionsOf(transaction, ticket));
  }

  /** Takes tickets that are due, in turns: see takeFairly. */
  async take(shares: Shares): Promise<HeldTicket[]> {
    await this.started();
    const jobs = await this.query<TakenJob>(takeFairly(QUEUE, randomUUID(), shares)).catch(rethrowDatabaseError);
    return jobs.map(({ id, data }) => ({ jobId: id, fileId: data.fileId }));
  }

  /** Says that their owner lives. Call it several times within 30 s. */
  async keep(jobIds: readonly string[]): Promise<void> {
    if (jobIds.length > 0) await this.boss.touch(QUEUE, [...jobIds]).catch(rethrowDatabaseError);
  }

  async complete(jobIds: readonly string[]): Promise<void> {
    if (jobIds.length > 0) await this.boss.complete(QUEUE, [...jobIds]).catch(rethrowDatabaseError);
  }

  private async started(): Promise<void> {
    this.starting ??= this.start();
    try {
      await this.starting;
    } catch (error) {
      this.starting = undefined;
      throw toDatabaseError(error);
    }
  }

  private async start(): Promise<void> {
    await this.boss.start();
    await this.boss.createQueue(QUEUE, {
      policy: 'short',
      partition: false,
      retryLimit: RETRIES,
      retryDelay: 0,
      expireInSeconds: EXPIRE_SECONDS,
      heartbeatSeconds: HEARTBEAT_SECONDS,
      deleteAfterSeconds: KEEP_ENDED_SECONDS,
    });
    await this.query(makeLaneIndex(QUEUE));
  }

  /** Statements in one go and one transaction; the rows of the last one. */
  private async query<Row>(statements: string): Promise<Row[]> {
    const results: unknown = await this.boss.getDb().executeSql(statements);
    return (results as { rows: Row[] }[]).at(-1)?.rows ?? [];
  }

  private startPatiently(delayMs: number): void {
    this.started().catch((error) => {
      if (this.stop.signal.aborted) return;
      this.logger.warn({ err: error }, 'the queue could not be started; it is tried again');
      this.timer = setTimeout(() => this.startPatiently(Math.min(delayMs * 2, LONGEST_START_RETRY_MS)), delayMs);
      this.timer.unref();
    });
  }
}

function dataOf({ fileId, host }: TransferTicket): TicketData {
  return { fileId, ...(host === null ? {} : { host }) };
}

function optionsOf(transaction: QueueTransaction, { fileId, workspaceId, delayMs = 0 }: TransferTicket) {
  return {
    db: fromPrisma(transaction),
    singletonKey: fileId,
    group: { id: workspaceId },
    // In seconds, which are counted by the database's clock: that of this process may be wrong.
    startAfter: Math.ceil(delayMs) / 1_000,
  };
}

function rethrowDatabaseError(error: unknown): never {
  throw toDatabaseError(error);
}
