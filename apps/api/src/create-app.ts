import type { IncomingMessage } from 'node:http';
import { HttpException } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Logger } from 'nestjs-pino';
import { AppModule } from './app.module.js';
import { ENVIRONMENT, type Environment, readEnvironment } from './config/env.js';
import { serveOpenApi } from './http/open-api.js';
import { chooseRequestId } from './http/request-id.js';
import { describeProblem, type ProblemRequest } from './http/storage-error.filter.js';

/** Bodies hold a URL and a title: 8,192 characters of up to 6 bytes in JSON, and room. */
const BODY_LIMIT_BYTES = 64 * 1024;
/** Longest time for a request to arrive whole, in ms: slow senders hold sockets. */
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * The app, ready to listen. It reads process.env (and .env in the working directory) when this file is first imported:
 * set variables before, and import it dynamically.
 *
 * @throws EnvironmentError with every wrong variable
 */
export async function createApp(): Promise<NestFastifyApplication> {
  const environment = readEnvironment(process.env);
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    frameworkErrors: answerFrameworkError,
    genReqId: ({ headers }: Pick<IncomingMessage, 'headers'>) => chooseRequestId(headers['x-request-id']),
  });
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, adapter, {
    bufferLogs: true,
    abortOnError: false,
    // Fastify's own parsers serve; Nest's would also take form data, which nothing here reads.
    bodyParser: false,
  });
  app.useLogger(app.get(Logger));
  const server = adapter.getInstance();
  server.removeContentTypeParser('text/plain');
  server.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  // Whether this host and those below it speak https alone is for the proxy to say that ends TLS.
  app.useSecurityHeaders({
    contentSecurityPolicy: { directives: { 'upgrade-insecure-requests': null } },
    strictTransportSecurity: false,
  });
  app.enableCors({
    origin: [...environment.WEB_ORIGINS],
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'idempotency-key', 'x-request-id'],
    exposedHeaders: ['retry-after', 'x-request-id'],
    maxAge: 600,
  });
  serveOpenApi(app);
  await app.init();
  await server.ready();
  return app;
}

interface FrameworkReply {
  code(status: number): this;
  headers(headers: Record<string, string>): this;
  send(body?: unknown): unknown;
}

/** Fastify answers a malformed URL (400) or too long an id (414) before any hook, guard or filter runs. */
function answerFrameworkError(
  { message, statusCode = 400 }: Error & { statusCode?: number },
  request: ProblemRequest,
  reply: FrameworkReply,
): void {
  const { problem, headers } = describeProblem(new HttpException(message, statusCode), request);
  reply.code(problem.status).headers(headers).send(JSON.stringify(problem));
}

/** The wished port is in use. The message is for the person who starts the app. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

/**
 * Listens on API_HOST and API_PORT and resolves to the URL of the API.
 *
 * @throws PortTakenError
 */
export async function listen(app: NestFastifyApplication): Promise<string> {
  const { API_HOST, API_PORT } = app.get<Environment>(ENVIRONMENT);
  try {
    await app.listen(API_PORT, API_HOST);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new PortTakenError(`Port ${API_PORT} on ${API_HOST} is taken: stop what uses it, or set API_PORT.`, {
      cause: error,
    });
  }
  return await app.getUrl();
}
