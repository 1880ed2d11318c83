import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import type { Exchange } from '../exchange.js';
import { errorDocument, HTML_PAGE, XML_DECLARATION } from '../s3-answers.js';
import type { S3Operation } from '../s3-operation.js';
import { type Fault, fault, type NoParameters } from './fault.js';
import { answerNoSuchUpload } from './upload-faults.js';

const COMPLETE: readonly S3Operation[] = ['CompleteMultipartUpload'];
const ERROR = errorDocument('InternalError', 'We encountered an internal error. Please try again.');

export const COMPLETE_FAULTS = {
  'complete-200-error': falseSuccess('an Error document', ERROR, { isForwarded: false }),
  'complete-200-error-newline': falseSuccess('an Error document and a newline', `${ERROR}\n`, { isForwarded: false }),
  'complete-200-html': falseSuccess('an HTML page', HTML_PAGE, { isForwarded: false }),
  'complete-200-error-after-forward': falseSuccess('an Error document', ERROR, { isForwarded: true }),
  'complete-200-error-newline-after-forward': falseSuccess('an Error document and a newline', `${ERROR}\n`, {
    isForwarded: true,
  }),
  'complete-200-html-after-forward': falseSuccess('an HTML page', HTML_PAGE, { isForwarded: true }),
  'complete-slow': fault({
    title: 'Complete answers 200 at once and white space every `everyMs` for `ms`, then what the store said',
    operations: COMPLETE,
    parameters: { ms: 1000, everyMs: 100 },
    apply: (exchange, times) =>
      answerSlowly(exchange, times, async () => {
        const answer = await exchange.forward();
        return (await text(answer)).replace(/^\s*<\?xml[^>]*>\s*/, '');
      }),
  }),
  'complete-slow-error': fault({
    title:
      'Complete answers 200 at once and white space every `everyMs` for `ms`, then an Error document; nothing is done',
    operations: COMPLETE,
    parameters: { ms: 1000, everyMs: 100 },
    apply: (exchange, times) =>
      answerSlowly(exchange, times, async () => {
        await exchange.dropRequestBody();
        return ERROR.slice(XML_DECLARATION.length);
      }),
  }),
  'complete-in-progress': fault({
    title: 'Complete answers 500 "completion is already in progress"; the first one is done where `isCarriedOut`',
    operations: COMPLETE,
    parameters: { isCarriedOut: true as boolean },
    async apply(exchange, { isCarriedOut }) {
      if (isCarriedOut && !isCompleteKnownToStore(exchange)) await exchange.forwardAndDrop();
      await exchange.answerError(500, 'InternalError', 'This multipart completion is already in progress');
    },
  }),
  'complete-answer-lost-then-gone': fault({
    title: 'the object is made, the connection is reset, and Complete again answers 404 NoSuchUpload',
    operations: COMPLETE,
    parameters: {},
    async apply(exchange) {
      await exchange.forwardAndDrop();
      const { uploadId } = exchange.call;
      exchange.leaveBehind({
        judge: ({ call }) =>
          call.operation === 'CompleteMultipartUpload' && call.uploadId === uploadId ? 'apply' : 'pass',
        apply: answerNoSuchUpload,
      });
      exchange.reset();
    },
  }),
  'complete-carried-out-late': fault({
    title: 'the connection is reset, and the store is given the Complete `ms` later',
    operations: COMPLETE,
    parameters: { ms: 500 },
    async apply(exchange, { ms }) {
      exchange.continueRequest();
      const list = await text(exchange.request);
      exchange.proxy.later(ms, () => exchange.forwardAlone(list));
      exchange.reset();
    },
  }),
  'complete-cut-off': fault({
    title:
      'the connections of client and store are cut `ms` after Complete was passed on, whatever the store does then',
    operations: COMPLETE,
    parameters: { ms: 20 },
    async apply(exchange, { ms }) {
      const answered = exchange.forward().then((answer) => finished(answer.resume()));
      answered.catch(() => {}); // Cut off with its client.
      await exchange.wait(ms);
      exchange.reset();
    },
  }),
  'complete-without-etag': fault({
    title: 'Complete succeeds, but its answer has no ETag, as with Ceph',
    operations: COMPLETE,
    parameters: {},
    async apply(exchange) {
      const answer = await exchange.forward();
      const body = (await text(answer)).replace(/<ETag>[^<]*<\/ETag>/, '');
      const status = answer.statusCode ?? 500;
      await exchange.answer({ status, headers: { 'content-type': 'application/xml' }, body });
    },
  }),
};

function falseSuccess(what: string, body: string, { isForwarded }: { isForwarded: boolean }): Fault<NoParameters> {
  const outcome = isForwarded ? 'the object is made' : 'the store does not see the request';
  const type = body === HTML_PAGE ? 'text/html' : 'application/xml';
  return fault({
    title: `Complete answers 200 with ${what}; ${outcome}`,
    operations: COMPLETE,
    parameters: {},
    async apply(exchange) {
      if (isForwarded) await exchange.forwardAndDrop();
      await exchange.answer({ status: 200, headers: { 'content-type': type }, body });
    },
  });
}

/** As AWS keeps a client waiting: the status is sent before the outcome is known. */
async function answerSlowly(
  exchange: Exchange,
  { ms, everyMs }: { ms: number; everyMs: number },
  finish: () => Promise<string>,
): Promise<void> {
  const { response } = exchange;
  exchange.continueRequest();
  exchange.note({ status: 200 });
  response.writeHead(200, { 'content-type': 'application/xml', 'transfer-encoding': 'chunked' });
  response.write(XML_DECLARATION);
  const heartbeat = setInterval(() => response.write(' '), everyMs);
  try {
    const [body] = await Promise.all([finish(), exchange.wait(ms)]);
    response.end(body);
  } finally {
    clearInterval(heartbeat);
  }
  await exchange.over();
}

function isCompleteKnownToStore({ call, proxy }: Exchange): boolean {
  return proxy.log.calls.some(
    ({ operation, uploadId, isForwarded }) =>
      operation === 'CompleteMultipartUpload' && uploadId === call.uploadId && isForwarded,
  );
}
