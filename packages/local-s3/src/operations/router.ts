import { S3Error } from '../errors.js';
import type { RequestTarget } from '../http/request-target.js';
import {
  createBucket,
  deleteBucket,
  deleteBucketCors,
  deleteBucketLifecycle,
  getBucketCors,
  getBucketLifecycle,
  getBucketLocation,
  headBucket,
  listBuckets,
  putBucketCors,
  putBucketLifecycle,
} from './bucket-operations.js';
import { copyObject, uploadPartCopy } from './copy-operations.js';
import type { Exchange } from './exchange.js';
import { listMultipartUploads, listObjects, listObjectsV2 } from './list-operations.js';
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listParts,
  uploadPart,
} from './multipart-operations.js';
import { deleteObject, deleteObjects, getObject, headObject, putObject } from './object-operations.js';

type Level = 'service' | 'bucket' | 'object';

interface Route {
  readonly method: string;
  readonly level: Level;
  /** Query parameters that make a request this operation. */
  readonly requires: readonly string[];
  /** Further parameters that the operation knows. */
  readonly knows: readonly string[];
  readonly copies?: boolean;
  /** CompleteMultipartUpload's x-amz-checksum-* are not of its XML. */
  readonly checksumsAreOfObject?: boolean;
  readonly handle: (exchange: Exchange) => Promise<void>;
}

const LISTING = ['prefix', 'delimiter', 'encoding-type', 'max-keys'];
const OVERRIDES = ['type', 'disposition', 'encoding', 'language'].map((name) => `response-content-${name}`);
const READING = [...OVERRIDES, 'response-cache-control', 'response-expires', 'versionId', 'partNumber'];

function route(
  method: string,
  level: Level,
  handle: Route['handle'],
  requires: string[] = [],
  knows: string[] = [],
): Route {
  return { method, level, handle, requires, knows };
}

const ROUTES: readonly Route[] = [
  route('GET', 'service', listBuckets, [], ['prefix', 'max-buckets']),

  route('PUT', 'bucket', createBucket),
  route('HEAD', 'bucket', headBucket),
  route('DELETE', 'bucket', deleteBucket),
  route('GET', 'bucket', listObjects, [], [...LISTING, 'marker']),
  route(
    'GET',
    'bucket',
    listObjectsV2,
    ['list-type'],
    [...LISTING, 'start-after', 'continuation-token', 'fetch-owner'],
  ),
  route('GET', 'bucket', getBucketLocation, ['location']),
  route('GET', 'bucket', getBucketCors, ['cors']),
  route('PUT', 'bucket', putBucketCors, ['cors']),
  route('DELETE', 'bucket', deleteBucketCors, ['cors']),
  route('GET', 'bucket', getBucketLifecycle, ['lifecycle']),
  route('PUT', 'bucket', putBucketLifecycle, ['lifecycle']),
  route('DELETE', 'bucket', deleteBucketLifecycle, ['lifecycle']),
  route('POST', 'bucket', deleteObjects, ['delete']),
  route(
    'GET',
    'bucket',
    listMultipartUploads,
    ['uploads'],
    ['prefix', 'delimiter', 'encoding-type', 'max-uploads', 'key-marker', 'upload-id-marker'],
  ),

  route('GET', 'object', getObject, [], READING),
  route('HEAD', 'object', headObject, [], READING),
  route('PUT', 'object', putObject),
  { ...route('PUT', 'object', copyObject), copies: true },
  route('DELETE', 'object', deleteObject, [], ['versionId']),
  route('POST', 'object', createMultipartUpload, ['uploads']),
  route('PUT', 'object', uploadPart, ['partNumber', 'uploadId']),
  { ...route('PUT', 'object', uploadPartCopy, ['partNumber', 'uploadId']), copies: true },
  { ...route('POST', 'object', completeMultipartUpload, ['uploadId']), checksumsAreOfObject: true },
  route('DELETE', 'object', abortMultipartUpload, ['uploadId']),
  route('GET', 'object', listParts, ['uploadId'], ['part-number-marker', 'max-parts']),
];

/**
 * The operation of a request. A query parameter that it does not know is refused and never dropped: other servers took
 * DELETE ?encryption for DELETE and deleted the bucket.
 * @throws S3Error NotImplemented, MethodNotAllowed
 */
export function operationOf(method: string, target: RequestTarget, isCopy: boolean): Route {
  const level = target.bucket === '' && target.path === '/' ? 'service' : target.key === '' ? 'bucket' : 'object';
  // x-id is the operation's name, which the SDK adds; x-amz-* are headers moved into a presigned query.
  const parameters = target.query.filter(({ name }) => name !== 'x-id' && !name.toLowerCase().startsWith('x-amz-'));
  const names = new Set(parameters.map(({ name }) => name));
  const candidates = ROUTES.filter(
    (candidate) =>
      candidate.level === level &&
      candidate.method === method &&
      (candidate.copies ?? false) === isCopy &&
      candidate.requires.every((name) => names.has(name)),
  ).sort((a, b) => b.requires.length - a.requires.length);
  const chosen = candidates[0];
  if (!chosen) {
    if (names.size > 0 || method === 'POST') throw notImplemented(method, [...names]);
    throw new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.', {
      Method: method,
    });
  }
  const unknown = [...names].filter((name) => !chosen.requires.includes(name) && !chosen.knows.includes(name));
  if (unknown.length > 0) throw notImplemented(method, unknown);
  return chosen;
}

function notImplemented(method: string, parameters: readonly string[]): S3Error {
  return new S3Error('NotImplemented', 'A parameter you provided implies functionality that is not implemented', {
    Method: method,
    Parameters: parameters.join(', '),
  });
}
