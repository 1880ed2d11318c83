import type { Exchange } from '../exchange.js';
import { withHeader, withoutHeaders } from '../raw-headers.js';
import type { S3Operation } from '../s3-operation.js';
import { flipBit } from './body-streams.js';
import { fault } from './fault.js';

const MAKES_OBJECT: readonly S3Operation[] = ['CompleteMultipartUpload', 'PutObject'];
const REPLACES_OBJECT: ReadonlySet<S3Operation> = new Set(['PutObject', 'CopyObject', 'DeleteObject']);

export const OBJECT_FAULTS = {
  'head-without-metadata': fault({
    title: 'HEAD answers without x-amz-meta-*',
    operations: ['HeadObject'],
    parameters: {},
    async apply(exchange) {
      const answer = await exchange.forward();
      const headers = withoutHeaders(answer.rawHeaders, (name) => name.startsWith('x-amz-meta-'));
      await exchange.relay(answer, { headers });
    },
  }),
  'head-wrong-size': fault({
    title: "HEAD's Content-Length is `addedBytes` off",
    operations: ['HeadObject'],
    parameters: { addedBytes: -1 },
    async apply(exchange, { addedBytes }) {
      const answer = await exchange.forward();
      const size = Math.max(0, Number(answer.headers['content-length'] ?? 0) + addedBytes);
      await exchange.relay(answer, { headers: withHeader(answer.rawHeaders, 'content-length', String(size)) });
    },
  }),
  'read-bit-flipped': fault({
    title: "one bit of GET's body is flipped on its way, in the byte at `offset`",
    operations: ['GetObject'],
    parameters: { offset: 0 },
    async apply(exchange, { offset }) {
      const answer = await exchange.forward();
      const length = Number(answer.headers['content-length'] ?? Number.NaN);
      await exchange.relay(answer, { through: [flipBit(offset, Number.isNaN(length) ? undefined : length)] });
    },
  }),
  'object-destroyed': fault({
    title: 'HEAD shows the object just made, GET answers `status` (404 or 409) until it is removed or replaced',
    operations: MAKES_OBJECT,
    parameters: { status: 404 },
    async apply(exchange, { status }) {
      const answer = await exchange.forward();
      if (answer.statusCode === 200) {
        exchange.leaveBehind({
          judge: (next) => judgeByKey(exchange, next, ['GetObject']),
          apply: status === 404 ? answerNoSuchKey : answerBroken,
        });
      }
      await exchange.relay(answer);
    },
  }),
  'object-appears-late': fault({
    title: 'HEAD and GET answer 404 for `ms` after the object was made',
    operations: MAKES_OBJECT,
    parameters: { ms: 500 },
    async apply(exchange, { ms }) {
      const answer = await exchange.forward();
      const appearsAt = performance.now() + ms;
      if (answer.statusCode === 200) {
        exchange.leaveBehind({
          judge: (next) =>
            performance.now() >= appearsAt ? 'end' : judgeByKey(exchange, next, ['HeadObject', 'GetObject']),
          apply: answerNoSuchKey,
        });
      }
      await exchange.relay(answer);
    },
  }),
};

function answerNoSuchKey(exchange: Exchange): Promise<void> {
  return exchange.answerError(404, 'NoSuchKey', 'The specified key does not exist.');
}

/** As Swift says it of an object whose segments an Abort has removed. */
function answerBroken(exchange: Exchange): Promise<void> {
  return exchange.answerError(409, 'BrokenMPU', 'The object is missing segments.');
}

function judgeByKey(made: Exchange, { call }: Exchange, hidden: readonly S3Operation[]): 'apply' | 'pass' | 'end' {
  const { bucket, key, uploadId } = made.call;
  if (call.bucket !== bucket) return 'pass';
  if (call.operation === 'DeleteObjects') return 'end'; // Its keys are in the body; most likely this one is among them.
  if (call.key !== key) return 'pass';
  if (hidden.includes(call.operation)) return 'apply';
  // The same Complete again makes nothing new.
  const isNewObject = call.operation === 'CompleteMultipartUpload' && call.uploadId !== uploadId;
  return isNewObject || REPLACES_OBJECT.has(call.operation) ? 'end' : 'pass';
}
