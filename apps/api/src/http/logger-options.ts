import type { IncomingMessage } from 'node:http';
import { types } from 'node:util';
import { RequestMethod } from '@nestjs/common';
import type { Params } from 'nestjs-pino';
import type { LogFn } from 'pino';
import type { Options } from 'pino-http';
import { PinoPretty } from 'pino-pretty';
import type { Environment } from '../config/env.js';
import { redactSecrets } from './redact-secrets.js';

/** Causes of causes shown in one line. */
const MAX_CAUSES = 5;

/** nestjs-pino's own default, `{/*splat}`, matches nothing since @fastify/middie puts a slash before it. */
const EVERY_ROUTE = [{ path: '{*path}', method: RequestMethod.ALL }];

/** How the app logs: one JSON object a line on stdout (LOG_FORMAT), with the request's id, and without secrets. */
export function toLoggerOptions(environment: Environment): Params {
  const options = toPinoOptions(environment);
  if (environment.LOG_FORMAT === 'json') return { forRoutes: EVERY_ROUTE, pinoHttp: options };
  // In this thread and at once: a line must not come after those that the process prints itself.
  return {
    forRoutes: EVERY_ROUTE,
    pinoHttp: [
      options,
      PinoPretty({ sync: true, singleLine: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' }),
    ],
  };
}

function toPinoOptions(environment: Environment): Options {
  const knownSecrets = listSecrets(environment);
  return {
    level: environment.LOG_LEVEL,
    // The request stands in its own line alone; the others of the same request name it by reqId.
    quietReqLogger: true,
    autoLogging: { ignore: ({ url }: IncomingMessage) => url?.startsWith('/health/') ?? false },
    wrapSerializers: false,
    serializers: {
      req: ({ id, method, url, socket }: IncomingMessage) => ({
        id,
        method,
        url,
        remoteAddress: socket.remoteAddress,
      }),
      res: ({ statusCode }: { statusCode: number }) => ({ statusCode }),
      err: (error: unknown) => serializeError(error, knownSecrets),
    },
    formatters: { log: (fields) => bigintsToDigits(fields) as Record<string, unknown> },
    hooks: {
      logMethod: keepTrailingError,
      // The last gate: whatever a line was made of, it leaves through here.
      streamWrite: (line) => redactSecrets(line, knownSecrets),
    },
  };
}

/** Values that must never be read in a log, wherever they come from. */
function listSecrets(environment: Environment): string[] {
  const { password } = new URL(environment.DATABASE_URL);
  const { AUTH_JWT_SECRET, DATA_ENCRYPTION_KEY, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_SESSION_TOKEN } =
    environment;
  const secrets = [
    AUTH_JWT_SECRET,
    DATA_ENCRYPTION_KEY,
    S3_ACCESS_KEY_ID,
    S3_SECRET_ACCESS_KEY,
    S3_SESSION_TOKEN,
    password,
  ];
  return secrets.filter((secret) => secret !== undefined && secret !== '') as string[];
}

interface LoggedError {
  type: string;
  code?: unknown;
  message: string;
  stack?: string;
  cause?: LoggedError;
}

/** Named fields alone: errors of clients carry whole requests, with their headers, as properties. */
function serializeError(error: unknown, knownSecrets: readonly string[], depth = 0): LoggedError {
  if (!types.isNativeError(error)) return { type: typeof error, message: redactSecrets(String(error), knownSecrets) };
  const { name, message, stack, cause, code } = error as NodeJS.ErrnoException;
  return {
    type: name,
    ...(code !== undefined ? { code } : {}),
    message: redactSecrets(message, knownSecrets),
    ...(stack !== undefined ? { stack: redactSecrets(stack, knownSecrets) } : {}),
    ...(cause !== undefined && depth < MAX_CAUSES ? { cause: serializeError(cause, knownSecrets, depth + 1) } : {}),
  };
}

/** Sizes are bigint, which JSON does not know: as digits nothing is rounded. */
function bigintsToDigits(value: unknown, depth = 0): unknown {
  if (typeof value === 'bigint') return String(value);
  if (depth > 4 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => bigintsToDigits(item, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, bigintsToDigits(item, depth + 1)]));
}

/** `logger.error('Transfer failed', error)` of Nest's Logger: pino would drop the error, which no %s asks for. */
function keepTrailingError(this: unknown, args: Parameters<LogFn>, method: LogFn): void {
  const [fields, ...rest] = args as unknown[];
  const last = rest.at(-1);
  if (typeof fields === 'object' && fields !== null && rest.length > 1 && types.isNativeError(last)) {
    method.apply(this as never, [{ err: last, ...fields }, ...rest.slice(0, -1)] as Parameters<LogFn>);
  } else {
    method.apply(this as never, args);
  }
}
