import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { z } from 'zod';
import { ENVIRONMENT, type Environment } from '../config/env.js';
import { S3Service } from '../storage/s3.service.js';
import { DatabaseRepository } from './database.repository.js';

/** Longest wait for each answer, in ms: probes of orchestrators give up soon after. */
const CHECK_LIMIT_MS = 2_000;

export const readinessSchema = z
  .object({
    status: z.enum(['ready', 'unavailable']),
    database: z.enum(['up', 'down']),
    storage: z
      .enum(['on', 'off'])
      .meta({ description: 'off: S3_ENDPOINT is not set; files and recordings answer 503' }),
    bucket: z.enum(['up', 'down']).optional().meta({ description: 'Absent while storage is off' }),
  })
  .meta({ id: 'Readiness' });

export type Readiness = z.output<typeof readinessSchema>;

/** Asks what the API cannot work without, each within 2 s and all at once. */
@Injectable()
export class ReadinessProbe {
  private readonly logger = new Logger(ReadinessProbe.name);

  constructor(
    private readonly database: DatabaseRepository,
    private readonly moduleRef: ModuleRef,
    @Inject(ENVIRONMENT) private readonly environment: Environment,
  ) {}

  async check(): Promise<Readiness> {
    const s3 = this.findS3Service();
    const [database, bucket] = await Promise.all([
      this.judge('database', () => this.database.ping()),
      s3 && this.judge('bucket', (signal) => s3.checkBucket(signal)),
    ]);
    return {
      status: database === 'up' && bucket !== 'down' ? 'ready' : 'unavailable',
      database,
      ...(bucket === undefined ? { storage: 'off' } : { storage: 'on', bucket }),
    };
  }

  /** Looked for, not injected: while storage is off there is none, and this module runs all the same. */
  private findS3Service(): S3Service | undefined {
    if (this.environment.S3_ENDPOINT === undefined) return undefined;
    return this.moduleRef.get(S3Service, { strict: false });
  }

  private async judge(name: string, ask: (signal: AbortSignal) => Promise<void>): Promise<'up' | 'down'> {
    const signal = AbortSignal.timeout(CHECK_LIMIT_MS);
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error(`no answer within ${CHECK_LIMIT_MS} ms`)), {
        once: true,
      });
    });
    try {
      await Promise.race([ask(signal), late]);
      return 'up';
    } catch (error) {
      this.logger.warn({ err: error, msg: `${name} is down` });
      return 'down';
    }
  }
}
