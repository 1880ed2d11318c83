import { randomBytes } from 'node:crypto';
import type { Exchange } from '../exchange.js';
import { withHeader } from '../raw-headers.js';
import { HTML_PAGE } from '../s3-answers.js';
import { flipBit } from './body-streams.js';
import { WITH_BODY } from './connection-faults.js';
import { fault } from './fault.js';

export const UPLOAD_FAULTS = {
  'create-empty-body': fault({
    title: 'Create answers 200 without a body, so without an upload id; the upload exists',
    operations: ['CreateMultipartUpload'],
    parameters: {},
    async apply(exchange) {
      await exchange.forwardAndDrop();
      await exchange.answer({ status: 200 });
    },
  }),
  'create-html': fault({
    title: 'Create answers 200 with an HTML page; the store does not see the request',
    operations: ['CreateMultipartUpload'],
    parameters: {},
    apply: (exchange) => exchange.answer({ status: 200, headers: { 'content-type': 'text/html' }, body: HTML_PAGE }),
  }),
  'upload-id-unknown': fault({
    title: 'UploadPart answers 404 NoSuchUpload; the upload exists',
    operations: ['UploadPart'],
    parameters: {},
    apply: answerNoSuchUpload,
  }),
  'upload-aborted-at-store': fault({
    title: 'the upload is aborted at the store before UploadPart is passed on, so 404 NoSuchUpload from now on',
    operations: ['UploadPart'],
    parameters: {},
    needsAbortUpload: true,
    async apply(exchange) {
      const { bucket, key, uploadId = '' } = exchange.call;
      await exchange.proxy.abortUpload({ bucket, key, uploadId });
      await exchange.pass();
    },
  }),
  'part-wrong-etag': fault({
    title: "the part is stored, but the answer's ETag is of other bytes",
    operations: ['UploadPart'],
    parameters: {},
    apply: (exchange) => relayWithETag(exchange, `"${randomBytes(16).toString('hex')}"`),
  }),
  'part-without-etag': fault({
    title: 'the part is stored, but the answer has no ETag',
    operations: ['UploadPart'],
    parameters: {},
    apply: (exchange) => relayWithETag(exchange, undefined),
  }),
  'body-bit-flipped': fault({
    title: 'one bit of the body is flipped on its way, in the byte at `offset`',
    operations: WITH_BODY,
    parameters: { offset: 512 },
    async apply(exchange, { offset }) {
      await exchange.relay(await exchange.forward(flipBit(offset, exchange.contentLength)));
    },
  }),
  'abort-ignored': fault({
    title: 'Abort answers 204 and the upload stays',
    operations: ['AbortMultipartUpload'],
    parameters: {},
    apply: (exchange) => exchange.answer({ status: 204 }),
  }),
};

export function answerNoSuchUpload(exchange: Exchange): Promise<void> {
  return exchange.answerError(
    404,
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
  );
}

async function relayWithETag(exchange: Exchange, etag: string | undefined): Promise<void> {
  const answer = await exchange.forward();
  await exchange.relay(answer, { headers: withHeader(answer.rawHeaders, 'etag', etag) });
}
