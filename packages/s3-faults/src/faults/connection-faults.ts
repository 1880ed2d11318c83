import type { Exchange } from '../exchange.js';
import { withHeader } from '../raw-headers.js';
import type { S3Operation } from '../s3-operation.js';
import { slowDown, stopAfter } from './body-streams.js';
import { ANY_OPERATION, type Fault, fault, type NoParameters } from './fault.js';

export const WITH_BODY: readonly S3Operation[] = ['PutObject', 'UploadPart'];

const WITH_ANSWER_BODY: readonly S3Operation[] = [
  'CreateMultipartUpload',
  'CompleteMultipartUpload',
  'ListParts',
  'ListMultipartUploads',
  'ListObjects',
  'ListObjectsV2',
  'GetObject',
];
/** handshake_failure, as a TLS server gives it to a client that speaks HTTP. */
const TLS_ALERT = Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28]);

export const CONNECTION_FAULTS = {
  'reset-before-forward': fault({
    title: 'the connection is reset before the request reaches the store',
    operations: ANY_OPERATION,
    parameters: {},
    async apply(exchange) {
      exchange.reset();
    },
  }),
  'reset-in-request-body': fault({
    title: 'the connections of client and store are reset after `bytes` of the body',
    operations: WITH_BODY,
    parameters: { bytes: 64 * 1024 },
    apply: (exchange, { bytes }) => forwardStart(exchange, bytes, () => exchange.reset()),
  }),
  'create-answer-lost': answerLost('CreateMultipartUpload', 'the upload exists, the connection is reset'),
  'part-answer-lost': answerLost('UploadPart', 'the part is stored, the connection is reset'),
  'complete-answer-lost': answerLost('CompleteMultipartUpload', 'the object is made, the connection is reset'),
  'put-answer-lost': answerLost('PutObject', 'the object is stored, the connection is reset'),
  'abort-answer-lost': answerLost('AbortMultipartUpload', 'the upload is gone, the connection is reset'),
  'delete-answer-lost': answerLost('DeleteObject', 'the object is gone, the connection is reset'),
  'read-answer-lost': fault({
    title: 'the connection is reset before the answer to a HEAD, GET or listing',
    operations: ['HeadObject', 'GetObject', 'ListParts', 'ListMultipartUploads', 'ListObjects', 'ListObjectsV2'],
    parameters: {},
    apply: loseAnswer,
  }),
  'black-hole-before-forward': fault({
    title: 'the request is read and never answered; the store does not see it',
    operations: ANY_OPERATION,
    parameters: {},
    async apply(exchange) {
      exchange.request.resume();
      await exchange.over();
    },
  }),
  'black-hole-after-forward': fault({
    title: 'the store has done the request, its answer never comes',
    operations: ANY_OPERATION,
    parameters: {},
    async apply(exchange) {
      await exchange.forwardAndDrop();
      await exchange.over();
    },
  }),
  'black-hole-in-request-body': fault({
    title: 'nothing more is read after `bytes` of the body, the rest is swallowed after `ms`, and nothing is answered',
    operations: WITH_BODY,
    parameters: { bytes: 64 * 1024, ms: 2000 },
    apply: (exchange, { bytes, ms }) =>
      forwardStart(exchange, bytes, async () => {
        await exchange.wait(ms);
        // A socket that is never read does not tell that the client has left.
        exchange.request.unpipe();
        exchange.request.resume();
      }),
  }),
  'black-hole-in-answer': fault({
    title: 'nothing follows after `bytes` of the body of the answer',
    operations: WITH_ANSWER_BODY,
    parameters: { bytes: 60 },
    async apply(exchange, { bytes }) {
      await exchange.relayStart(await exchange.forward(), bytes);
      await exchange.over();
    },
  }),
  'answer-cut': fault({
    title: 'the connection is closed after `bytes` of the body of the answer, in the middle of the XML',
    operations: WITH_ANSWER_BODY,
    parameters: { bytes: 60 },
    async apply(exchange, { bytes }) {
      await exchange.relayStart(await exchange.forward(), bytes);
      exchange.hangUp();
    },
  }),
  'answer-not-http': fault({
    title: 'the answer is a TLS alert; the store does not see the request',
    operations: ANY_OPERATION,
    parameters: {},
    async apply(exchange) {
      await exchange.dropRequestBody();
      exchange.socket.write(TLS_ALERT);
      exchange.hangUp();
    },
  }),
  'keep-alive-closed': fault({
    title: 'the connection is closed right after an answer that promised to keep it',
    operations: ANY_OPERATION,
    parameters: {},
    async apply(exchange) {
      await relayWithPromise(exchange);
      exchange.hangUp();
    },
  }),
  'keep-alive-reset-on-reuse': fault({
    title: 'the answer promises to keep the connection, the next request on it is reset unread',
    operations: ANY_OPERATION,
    parameters: {},
    async apply(exchange) {
      const { socket } = exchange;
      exchange.leaveBehind({
        judge: (next) => (next.socket === socket ? 'apply' : socket.destroyed ? 'end' : 'pass'),
        apply: async (next) => next.reset(),
      });
      await relayWithPromise(exchange);
    },
  }),
  'refuse-connections': fault({
    title: 'the store is down: all connections are reset, and new ones refused for `ms`',
    operations: ANY_OPERATION,
    parameters: { ms: 500 },
    async apply(exchange, { ms }) {
      exchange.proxy.goDown(ms);
    },
  }),
  'slow-answer': fault({
    title: 'the answer comes `ms` late',
    operations: ANY_OPERATION,
    parameters: { ms: 500 },
    async apply(exchange, { ms }) {
      const answer = await exchange.forward();
      await exchange.wait(ms);
      await exchange.relay(answer);
    },
  }),
  'slow-upload-link': fault({
    title: 'the body goes through at `bytesPerSecond`',
    operations: WITH_BODY,
    parameters: { bytesPerSecond: 1024 ** 2 },
    async apply(exchange, { bytesPerSecond }) {
      const link = slowDown(bytesPerSecond);
      void exchange.over().then(() => link.destroy());
      await exchange.relay(await exchange.forward(link));
    },
  }),
};

function answerLost(operation: S3Operation, outcome: string): Fault<NoParameters> {
  return fault({
    title: `${outcome} before the answer`,
    operations: [operation],
    parameters: {},
    apply: loseAnswer,
  });
}

async function loseAnswer(exchange: Exchange): Promise<void> {
  await exchange.forwardAndDrop();
  exchange.reset();
}

async function relayWithPromise(exchange: Exchange): Promise<void> {
  const answer = await exchange.forward();
  await exchange.relay(answer, { headers: withHeader(answer.rawHeaders, 'connection', 'keep-alive') });
}

/** Sends the store the first bytes of the body alone; ends with the client's connection. */
async function forwardStart(exchange: Exchange, bytes: number, onReached: () => unknown): Promise<void> {
  const answering = exchange.forward(stopAfter({ bytes, contentLength: exchange.contentLength, onReached }));
  // The store may refuse the request by its headers alone.
  const answer = await Promise.race([answering, exchange.over()]);
  if (answer) await exchange.relay(answer);
  await exchange.over();
}
