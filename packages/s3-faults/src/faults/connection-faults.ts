import type { Exchange } from '../exchange.js';
import type { S3Operation } from '../s3-operation.js';
import { slowDown, stopAfter } from './body-streams.js';
import { ANY_OPERATION, type Fault, fault, type NoParameters } from './fault.js';

export const WITH_BODY: readonly S3Operation[] = ['PutObject', 'UploadPart'];

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
    title: 'nothing is read any more after `bytes` of the body, and nothing answered',
    operations: WITH_BODY,
    parameters: { bytes: 64 * 1024 },
    apply: (exchange, { bytes }) => forwardStart(exchange, bytes, () => {}),
  }),
  'slow-upload-link': fault({
    title: 'the body goes through at `bytesPerSecond`',
    operations: WITH_BODY,
    parameters: { bytesPerSecond: 1024 ** 2 },
    async apply(exchange, { bytesPerSecond }) {
      const link = slowDown(bytesPerSecond);
      exchange.response.once('close', () => link.destroy());
      await exchange.relay(await exchange.forward(link));
    },
  }),
};

function answerLost(operation: S3Operation, outcome: string): Fault<NoParameters> {
  return fault({
    title: `${outcome} before the answer`,
    operations: [operation],
    parameters: {},
    async apply(exchange) {
      await exchange.forwardAndDrop();
      exchange.reset();
    },
  });
}

/** Sends the store the first bytes of the body alone; ends with the client's connection. */
async function forwardStart(exchange: Exchange, bytes: number, onReached: () => void): Promise<void> {
  const announced = exchange.request.headers['content-length'];
  const contentLength = announced === undefined ? undefined : Number(announced);
  const answering = exchange.forward(stopAfter({ bytes, contentLength, onReached }));
  // The store may refuse the request by its headers alone.
  const answer = await Promise.race([answering, exchange.over()]);
  if (answer) await exchange.relay(answer);
  else answering.catch(() => {}); // It fails with the connection, as it should.
  await exchange.over();
}
