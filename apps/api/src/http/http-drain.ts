import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyAdapter } from '@nestjs/platform-fastify';

/** Longest wait for running requests at the end, in ms: below the 30 s after which Kubernetes kills. */
const DRAIN_LIMIT_MS = 10_000;
const SWEEP_INTERVAL_MS = 50;

/**
 * Ends the server before anything that requests need: no new connections, running requests end, idle ones are closed.
 *
 * It belongs to the root module: Nest destroys that one first, and closes its own server only after all of them.
 */
@Injectable()
export class HttpDrain implements OnModuleDestroy {
  constructor(private readonly adapterHost: HttpAdapterHost<FastifyAdapter>) {}

  async onModuleDestroy(): Promise<void> {
    const fastify = this.adapterHost.httpAdapter.getInstance();
    const limit = setTimeout(() => fastify.server.closeAllConnections(), DRAIN_LIMIT_MS);
    // A connection whose request has just ended would stay open for the next one, which never comes.
    const sweep = setInterval(() => fastify.server.closeIdleConnections(), SWEEP_INTERVAL_MS);
    try {
      await fastify.close();
    } finally {
      clearTimeout(limit);
      clearInterval(sweep);
    }
  }
}
