import type { Exchange } from '../exchange.js';
import { errorDocument } from '../s3-answers.js';
import type { S3Operation } from '../s3-operation.js';
import { WITH_BODY } from './connection-faults.js';
import { ANY_OPERATION, type Fault, fault, type NoParameters } from './fault.js';

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const INTERNAL_ERROR: Refusal = {
  status: 500,
  code: 'InternalError',
  message: 'We encountered an internal error. Please try again.',
};
const SLOW_DOWN: Refusal = { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' };
const ACCESS_DENIED: Refusal = { status: 403, code: 'AccessDenied', message: 'Access Denied' };

const REFUSALS_BY_STATUS = new Map(
  [ACCESS_DENIED, INTERNAL_ERROR, SLOW_DOWN].map((refusal) => [refusal.status, refusal]),
);

export const REFUSAL_FAULTS = {
  'internal-error': refused('500 InternalError', ANY_OPERATION, INTERNAL_ERROR),
  'internal-error-after-forward': fault({
    title: '500 InternalError although the store has done the request',
    operations: ANY_OPERATION,
    parameters: {},
    async apply(exchange) {
      await exchange.forwardAndDrop();
      await refuse(exchange, INTERNAL_ERROR);
    },
  }),
  'slow-down': fault({
    title: '503 SlowDown, with Retry-After where `retryAfterSeconds` is above 0',
    operations: ANY_OPERATION,
    parameters: { retryAfterSeconds: 0 },
    apply: (exchange, { retryAfterSeconds }) => refuse(exchange, SLOW_DOWN, retryAfter(retryAfterSeconds)),
  }),
  'unavailable-without-body': fault({
    title: '503 without a body, as a load balancer gives it',
    operations: ANY_OPERATION,
    parameters: {},
    apply: (exchange) => exchange.answer({ status: 503 }),
  }),
  'too-many-requests': fault({
    title: '429 TooManyRequests, with Retry-After where `retryAfterSeconds` is above 0',
    operations: ANY_OPERATION,
    parameters: { retryAfterSeconds: 1 },
    apply: (exchange, { retryAfterSeconds }) =>
      refuse(
        exchange,
        { status: 429, code: 'TooManyRequests', message: 'Please reduce your request rate.' },
        retryAfter(retryAfterSeconds),
      ),
  }),
  'request-timeout': fault({
    title: '400 RequestTimeout, and the connection is closed',
    operations: ANY_OPERATION,
    parameters: {},
    apply: (exchange) =>
      refuse(
        exchange,
        {
          status: 400,
          code: 'RequestTimeout',
          message:
            'Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.',
        },
        { connection: 'close' },
      ),
  }),
  'store-full': refused('507 InsufficientStorage, as a store without room gives it', WITH_BODY, {
    status: 507,
    code: 'InsufficientStorage',
    message: 'There is not enough room to store the object.',
  }),
  'access-denied': refused('403 AccessDenied', ANY_OPERATION, ACCESS_DENIED),
  'clock-skew': fault({
    title: '403 RequestTimeTooSkewed; the Date of the answer is `dateShiftMs` off',
    operations: ANY_OPERATION,
    parameters: { dateShiftMs: 0 },
    apply: (exchange, { dateShiftMs }) =>
      refuse(
        exchange,
        {
          status: 403,
          code: 'RequestTimeTooSkewed',
          message: 'The difference between the request time and the current time is too large.',
        },
        { date: new Date(Date.now() + dateShiftMs).toUTCString() },
      ),
  }),
  'permanent-redirect': refused('301 PermanentRedirect to nowhere', ANY_OPERATION, {
    status: 301,
    code: 'PermanentRedirect',
    message: 'The bucket you are attempting to access must be addressed using the specified endpoint.',
  }),
  'early-answer-413': early('413 EntityTooLarge', {
    status: 413,
    code: 'EntityTooLarge',
    message: 'Your proposed upload exceeds the maximum allowed size',
  }),
  'early-answer-503': early('503 SlowDown', SLOW_DOWN),
  'abort-refused': refusedWith('AbortMultipartUpload'),
  'list-parts-refused': refusedWith('ListParts'),
  'head-unavailable': refused('HEAD answers 503', ['HeadObject'], SLOW_DOWN),
};

function refused(title: string, operations: readonly S3Operation[], refusal: Refusal): Fault<NoParameters> {
  return fault({
    title,
    operations,
    parameters: {},
    apply: (exchange) => refuse(exchange, refusal),
  });
}

function refusedWith(operation: S3Operation): Fault<{ readonly status: number }> {
  return fault({
    title: `${operation} answers \`status\`, with the error that S3 has for it (${[...REFUSALS_BY_STATUS.keys()].join(', ')})`,
    operations: [operation],
    parameters: { status: 403 },
    apply: (exchange, { status }) => refuse(exchange, REFUSALS_BY_STATUS.get(status) ?? { ...INTERNAL_ERROR, status }),
  });
}

function early(title: string, { status, code, message }: Refusal): Fault<{ readonly bytes: number }> {
  return fault({
    title: `${title} after \`bytes\` of the body, and the connection is closed under the rest`,
    operations: WITH_BODY,
    parameters: { bytes: 64 * 1024 },
    async apply(exchange, { bytes }) {
      await exchange.readRequestBody(bytes);
      await exchange.answer({
        status,
        headers: { 'content-type': 'application/xml', connection: 'close' },
        body: errorDocument(code, message),
        isEarly: true,
      });
    },
  });
}

function refuse(
  exchange: Exchange,
  { status, code, message }: Refusal,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  return exchange.answerError(status, code, message, headers);
}

function retryAfter(seconds: number): Record<string, string> {
  return seconds > 0 ? { 'retry-after': String(seconds) } : {};
}
