type Level = 'service' | 'bucket' | 'object';

interface Route {
  readonly method: string;
  readonly level: Level;
  /** Query parameters that make a request this operation. */
  readonly requires: readonly string[];
  readonly copies: boolean;
}

function route(method: string, level: Level, requires: readonly string[] = [], { copies = false } = {}): Route {
  return { method, level, requires, copies };
}

const ROUTES = {
  ListBuckets: route('GET', 'service'),
  CreateBucket: route('PUT', 'bucket'),
  HeadBucket: route('HEAD', 'bucket'),
  DeleteBucket: route('DELETE', 'bucket'),
  GetBucketLocation: route('GET', 'bucket', ['location']),
  GetBucketCors: route('GET', 'bucket', ['cors']),
  PutBucketCors: route('PUT', 'bucket', ['cors']),
  DeleteBucketCors: route('DELETE', 'bucket', ['cors']),
  GetBucketLifecycleConfiguration: route('GET', 'bucket', ['lifecycle']),
  PutBucketLifecycleConfiguration: route('PUT', 'bucket', ['lifecycle']),
  DeleteBucketLifecycle: route('DELETE', 'bucket', ['lifecycle']),
  ListObjects: route('GET', 'bucket'),
  ListObjectsV2: route('GET', 'bucket', ['list-type']),
  ListMultipartUploads: route('GET', 'bucket', ['uploads']),
  DeleteObjects: route('POST', 'bucket', ['delete']),
  GetObject: route('GET', 'object'),
  HeadObject: route('HEAD', 'object'),
  PutObject: route('PUT', 'object'),
  CopyObject: route('PUT', 'object', [], { copies: true }),
  DeleteObject: route('DELETE', 'object'),
  CreateMultipartUpload: route('POST', 'object', ['uploads']),
  UploadPart: route('PUT', 'object', ['partNumber', 'uploadId']),
  UploadPartCopy: route('PUT', 'object', ['partNumber', 'uploadId'], { copies: true }),
  CompleteMultipartUpload: route('POST', 'object', ['uploadId']),
  AbortMultipartUpload: route('DELETE', 'object', ['uploadId']),
  ListParts: route('GET', 'object', ['uploadId']),
} as const satisfies Record<string, Route>;

/** Unknown: a form, a preflight, or a sub-resource that is not in the table. */
export type S3Operation = keyof typeof ROUTES | 'Unknown';

export const S3_OPERATIONS: readonly S3Operation[] = [...(Object.keys(ROUTES) as (keyof typeof ROUTES)[]), 'Unknown'];

/** Sub-resources of ROUTES; a request with another one is not the plain operation on the bucket or object. */
const SUB_RESOURCES = new Set(Object.values(ROUTES).flatMap(({ requires }) => requires as readonly string[]));
/** What plain operations take beside a sub-resource. */
const PLAIN_PARAMETER =
  /^(x-id|x-amz-.*|AWSAccessKeyId|Signature|Expires|response-.*|versionId|prefix|delimiter|encoding-type|marker|max-.*|start-after|continuation-token|fetch-owner|.*-marker)$/i;

export interface S3Request {
  readonly operation: S3Operation;
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly partNumber: number | undefined;
  readonly uploadId: string | undefined;
}

export interface RequestLine {
  readonly method: string;
  /** The target as it came over the wire. */
  readonly url: string;
  readonly host: string;
  readonly isCopy: boolean;
}

/** Names the operation of a request by its method, path and query; a host `bucket.localhost` carries the bucket. */
export function recogniseS3Request({ method, url, host, isCopy }: RequestLine): S3Request {
  const mark = url.indexOf('?');
  const path = decoded(mark === -1 ? url : url.slice(0, mark));
  const query = new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1));
  const { bucket, key } = addressOf(path, host);
  const level: Level = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object';
  const partNumber = query.get('partNumber');
  return {
    operation: operationOf(method, level, [...query.keys()], isCopy),
    method,
    bucket,
    key,
    partNumber: partNumber === null ? undefined : Number(partNumber),
    uploadId: query.get('uploadId') ?? undefined,
  };
}

function operationOf(method: string, level: Level, parameters: readonly string[], isCopy: boolean): S3Operation {
  const isKnown = parameters.every((name) => SUB_RESOURCES.has(name) || PLAIN_PARAMETER.test(name));
  if (!isKnown) return 'Unknown';
  const fitting = Object.entries(ROUTES).filter(
    ([, candidate]) =>
      candidate.method === method &&
      candidate.level === level &&
      candidate.copies === isCopy &&
      candidate.requires.every((name) => parameters.includes(name)),
  );
  const [most] = fitting.sort(([, a], [, b]) => b.requires.length - a.requires.length);
  return (most?.[0] as S3Operation | undefined) ?? 'Unknown';
}

function addressOf(path: string, host: string): { bucket: string; key: string } {
  const bucketOfHost = /^(.+)\.localhost(?::\d+)?$/i.exec(host)?.[1];
  if (bucketOfHost !== undefined) return { bucket: bucketOfHost, key: path.slice(1) };
  const slash = path.indexOf('/', 1);
  if (slash === -1) return { bucket: path.slice(1), key: '' };
  return { bucket: path.slice(1, slash), key: path.slice(slash + 1) };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // The store will refuse it; here it only has to be named in the log.
  }
}
