import { STATUS_CODES } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Injectable, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { DatabaseUnavailableError } from '../prisma/database-error.js';
import { StorageError, type StorageErrorCode } from '../storage/storage.errors.js';
import { HttpProblem, type Problem } from './http-problem.js';
import { redactSecrets } from './redact-secrets.js';

/** Statuses whose request may go well later, where no code of storage says more. */
const RETRYABLE_STATUSES = new Set([408, 429, 503]);
/** Seconds after which a client may try again when a server behind this one is away. */
const RETRY_AFTER_SECONDS = '5';

interface Answer extends Pick<Problem, 'status' | 'code' | 'detail' | 'errors'> {
  retryable?: boolean;
  headers?: Record<string, string>;
}

/** Answers every error of every route, Fastify's own included, as application/problem+json (RFC 9457). */
@Catch()
@Injectable()
export class StorageErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(StorageErrorFilter.name);

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<ProblemRequest>();
    const { problem, headers } = describeProblem(error, request);
    // That storage is off was said at the start.
    if (problem.status >= 500 && problem.code !== 'STORAGE_OFF') {
      this.logger.error({ err: error, code: problem.code, requestId: request.id, msg: 'request failed' });
    }
    const { httpAdapter } = this.adapterHost;
    const response = http.getResponse();
    if (httpAdapter.isHeadersSent(response)) return; // The answer is under way: it can only be cut, and Fastify does.
    for (const [name, value] of Object.entries(headers)) httpAdapter.setHeader(response, name, value);
    httpAdapter.reply(response, JSON.stringify(problem), problem.status);
  }
}

/** What a problem tells of its request. */
export interface ProblemRequest {
  readonly id: string;
  readonly url: string;
  readonly originalUrl?: string;
}

/** The answer to an error: body and headers. Of what nobody expected it tells nothing but the request's id. */
export function describeProblem(
  error: unknown,
  { id, url, originalUrl = url }: ProblemRequest,
): { problem: Problem; headers: Record<string, string> } {
  const answer = toAnswer(error);
  const { status, code, detail, errors, headers, retryable = RETRYABLE_STATUSES.has(status) } = answer;
  return {
    problem: {
      type: 'about:blank',
      title: STATUS_CODES[status] ?? 'Error',
      status,
      ...(detail !== undefined ? { detail: redactSecrets(detail) } : {}),
      instance: originalUrl.split('?', 1)[0] ?? '/',
      code,
      retryable,
      requestId: id,
      ...(errors !== undefined ? { errors } : {}),
    },
    headers: {
      'content-type': 'application/problem+json; charset=utf-8',
      'cache-control': 'no-store',
      'x-request-id': id,
      ...(status === 503 && retryable ? { 'retry-after': RETRY_AFTER_SECONDS } : {}),
      ...headers,
    },
  };
}

function toAnswer(error: unknown): Answer {
  if (error instanceof HttpProblem) {
    const { code, detail, errors, headers } = error;
    return { status: error.getStatus(), code, detail, errors, headers };
  }
  if (error instanceof StorageError) {
    const { code, message: detail, isRetryable: retryable, retryAfterMs } = error;
    const status = toStatus(code);
    const headers: Record<string, string> =
      status === 429 && retryAfterMs > 0 ? { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) } : {};
    return { status, code, detail, retryable, headers };
  }
  if (error instanceof DatabaseUnavailableError) {
    return {
      status: 503,
      code: error.code,
      detail: 'the database cannot be reached or takes no changes; try again later',
    };
  }
  if (error instanceof HttpException && error.getStatus() < 500) return toHttpAnswer(error);
  return { status: 500, code: 'INTERNAL' };
}

/** What Nest and Fastify refuse by themselves: routes, bodies, content types, URLs. */
function toHttpAnswer(error: HttpException): Answer {
  const status = error.getStatus();
  switch (status) {
    case 404:
      // Nest's own text repeats the URL with its query.
      return { status, code: 'ROUTE_NOT_FOUND', detail: 'there is no such route' };
    case 413:
      return { status, code: 'BODY_TOO_LARGE', detail: error.message };
    case 414:
      return { status, code: 'URI_TOO_LONG', detail: 'a part of the path is too long' };
    case 415:
      return { status, code: 'UNSUPPORTED_MEDIA_TYPE', detail: 'bodies must be application/json' };
    case 400:
      return { status, code: 'MALFORMED_REQUEST', detail: error.message };
    default:
      return { status, code: `HTTP_${status}`, detail: error.message };
  }
}

function toStatus(code: StorageErrorCode): number {
  switch (code) {
    case 'INVALID_PATH':
    case 'INVALID_TYPE':
    case 'INVALID_MIME_TYPE':
    case 'INVALID_EXPIRY':
    case 'INVALID_FILENAME':
    case 'INVALID_CURSOR':
    case 'INVALID_OPTION':
    case 'BUCKET_NOT_ALLOWED':
    case 'SOURCE_URL_INVALID':
      return 400;
    case 'WORKSPACE_NOT_FOUND':
    case 'FILE_NOT_FOUND':
    case 'OBJECT_NOT_FOUND':
    case 'WEBHOOK_NOT_FOUND':
    case 'DELIVERY_NOT_FOUND':
      return 404;
    case 'FILE_NOT_READY':
    case 'FILE_DELETED':
    case 'FILE_BUSY':
    case 'PATH_TAKEN':
    case 'WEBHOOK_LIMIT':
    case 'OBJECT_EXISTS':
    case 'TRANSFER_CANCELLED':
    case 'TRANSFER_LOST':
    case 'TRANSFER_GOES_ON':
    case 'SOURCE_LOST':
      return 409;
    case 'FILE_PURGED':
      return 410;
    case 'QUOTA_EXCEEDED':
      return 429;
    // The caller named a source that cannot be taken, whoever asks and however often.
    case 'SOURCE_ADDRESS_BLOCKED':
    case 'SOURCE_EMPTY':
    case 'SOURCE_TOO_LARGE':
    case 'SOURCE_SIZE_MISMATCH':
    case 'IDEMPOTENCY_KEY_REUSED':
    case 'SOURCE_CHECKSUM_MISMATCH':
    case 'SOURCE_TYPE_MISMATCH':
    case 'UPLOAD_TOO_LARGE':
      return 422;
    case 'SOURCE_UNREACHABLE':
    case 'SOURCE_STATUS':
    case 'SOURCE_REDIRECT':
    case 'SOURCE_TRUNCATED':
    case 'SOURCE_CHANGED':
    case 'SOURCE_NOT_RESUMABLE':
    case 'SOURCE_LENGTH_UNPROVEN':
    case 'SOURCE_PROTOCOL':
    case 'BUCKET_NOT_FOUND':
    case 'STORE_ACCESS_DENIED':
    case 'UPLOAD_FAILED':
    case 'UPLOAD_OUTCOME_UNKNOWN':
    case 'STORED_BYTES_CHANGED':
    case 'CORS_UNSUPPORTED':
    case 'LIFECYCLE_UNSUPPORTED':
      return 502;
    case 'SOURCE_TIMEOUT':
    case 'SOURCE_TOO_SLOW':
      return 504;
    case 'TRANSFER_CRASHED':
      return 500;
    case 'STORE_UNREACHABLE':
    case 'DATABASE_UNAVAILABLE':
    case 'STORAGE_OFF':
      return 503;
    default:
      return assertNever(code);
  }
}

function assertNever(code: never): never {
  throw new Error(`no HTTP status is decided for ${String(code)}`);
}
