import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { ENVIRONMENT, type Environment } from '../config/env.js';
import { PrismaClient } from '../generated/prisma/client.js';
import { toDatabaseError } from './database-error.js';

/** A query that waits longer for a connection fails: callers hold sockets and leases of their own meanwhile. */
const CONNECTION_TIMEOUT_MS = 5_000;

function createClient(databaseUrl: string) {
  const adapter = new PrismaPg({ connectionString: databaseUrl, connectionTimeoutMillis: CONNECTION_TIMEOUT_MS });
  return new PrismaClient({ adapter }).$extends({
    query: {
      async $allOperations({ args, query }) {
        try {
          return await query(args);
        } catch (error) {
          throw toDatabaseError(error);
        }
      },
    },
  });
}

/** The client within a transaction. */
export type Transaction = Parameters<Parameters<ReturnType<typeof createClient>['$transaction']>[0]>[0];

/** The one connection pool of the process. Connects with the first query and ends with the app. */
@Injectable()
export class PrismaService implements OnApplicationShutdown {
  readonly client: ReturnType<typeof createClient>;

  constructor(@Inject(ENVIRONMENT) environment: Environment) {
    this.client = createClient(environment.DATABASE_URL);
  }

  /** Runs `task` in one transaction. What it throws rolls everything back; a database that is away is told as such. */
  async transaction<Result>(task: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    try {
      // Else Prisma gives up after 2 s, where a plain query still waits for its connection.
      return await this.client.$transaction(task, { maxWait: CONNECTION_TIMEOUT_MS });
    } catch (error) {
      throw toDatabaseError(error);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.client.$disconnect();
  }
}
