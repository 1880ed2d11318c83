import { Socket } from 'node:net';
import type { PoolConfig } from 'pg';
import type { Environment } from '../config/env.js';

/**
 * What a pool needs so that none of its connections is waited for without end: a host of PostgreSQL that vanishes tells
 * nobody, and TCP finds out after a quarter of an hour where something was sent, and never where nothing was. Migrations
 * have a pool of their own, and take their time.
 *
 * Limited is the silence of the socket and not, as by pg's `query_timeout`, each query: that leaves the connection in
 * the pool when it was a transaction's, whose ROLLBACK and all later queries then wait behind the one without an answer.
 * Here the connection itself ends, and with it, at once, whatever was asked over it.
 */
export function limitSilence({ DATABASE_SILENCE_SECONDS }: Pick<Environment, 'DATABASE_SILENCE_SECONDS'>) {
  const silenceMs = DATABASE_SILENCE_SECONDS * 1_000;
  return {
    stream: () => {
      const socket = new Socket();
      return socket.setTimeout(silenceMs, () => socket.destroy());
    },
    // A connection that nobody uses is silent too: the pool ends it before, as it does by default.
    idleTimeoutMillis: silenceMs / 2,
    // The same from the other side: PostgreSQL notices as little of a process that vanished within a transaction, and
    // would keep the rows that it changed from everybody. No parameter of the start: poolers refuse those.
    onConnect: async (client) => {
      await client.query(`SET idle_in_transaction_session_timeout = ${silenceMs}`);
    },
  } satisfies PoolConfig;
}
