import type { Environment } from '../../config/env.js';

/**
 * What is known of S3-compatible stores where they differ. Each fact says where it comes from: `measured` by
 * `pnpm test:external` (docs/compatibility.md), the address of the page that documents it, or `unknown`, where the
 * value is the careful guess that the product works with.
 */
export interface Fact<Value> {
  readonly value: Value;
  readonly source: 'measured' | 'unknown' | `https://${string}`;
}

export type StoreName = Exclude<Environment['S3_STORE'], 'auto'>;

export interface StoreProfile {
  readonly name: StoreName;
  /** As a person knows it. */
  readonly title: string;
  /** Highest part number of a multipart upload. */
  readonly maxParts: Fact<number>;
  /** Whether the SDK's own checksums (CRC32 in a header or trailer) are verified, ignored, or break requests. */
  readonly checksums: Fact<'verified' | 'ignored'>;
  /** Content-MD5 of a part is compared with what arrived. */
  readonly contentMd5: Fact<boolean>;
  /** `If-None-Match: *` on PutObject, and on CompleteMultipartUpload. */
  readonly conditionalPut: Fact<'honoured' | 'refused' | 'ignored'>;
  readonly conditionalComplete: Fact<'honoured' | 'refused' | 'ignored'>;
  readonly presignedPost: Fact<boolean>;
  /** The bucket is named in the path, because host names for buckets are not to be counted on. */
  readonly pathStyle: Fact<boolean>;
  /** GetBucketCors and PutBucketCors. */
  readonly corsCalls: Fact<boolean>;
  /** GetBucketLifecycleConfiguration and its Put. */
  readonly lifecycleCalls: Fact<boolean>;
  /** A rule that aborts stale uploads cannot harm an object whose Complete was cut off. */
  readonly lifecycleAbortIsSafe: Fact<boolean>;
  /** A signature for another region is refused. */
  readonly strictRegion: Fact<boolean>;
}

const measured = <Value>(value: Value): Fact<Value> => ({ value, source: 'measured' });
const guessed = <Value>(value: Value): Fact<Value> => ({ value, source: 'unknown' });
const documented = <Value>(value: Value, source: `https://${string}`): Fact<Value> => ({ value, source });

const AWS_LIMITS = 'https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html';
const AWS_CHECKSUMS = 'https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html';
const AWS_CONDITIONAL = 'https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html';
const AWS_ABORT_RULE =
  'https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html';
const OVH_LIMITS = 'https://support.us.ovhcloud.com/hc/en-us/articles/4605467875603';

const UNKNOWN: StoreProfile = {
  name: 'unknown',
  title: 'an S3-compatible store that is not known here',
  maxParts: guessed(10_000),
  checksums: guessed('ignored'),
  contentMd5: guessed(true),
  conditionalPut: guessed('ignored'),
  conditionalComplete: guessed('ignored'),
  presignedPost: guessed(false),
  pathStyle: guessed(true),
  corsCalls: guessed(true),
  lifecycleCalls: guessed(true),
  lifecycleAbortIsSafe: guessed(false),
  strictRegion: guessed(true),
};

export const STORE_PROFILES: Readonly<Record<StoreName, StoreProfile>> = {
  unknown: UNKNOWN,
  'aws-s3': {
    name: 'aws-s3',
    title: 'AWS S3',
    maxParts: documented(10_000, AWS_LIMITS),
    checksums: documented('verified', AWS_CHECKSUMS),
    contentMd5: documented(true, AWS_CHECKSUMS),
    conditionalPut: documented('honoured', AWS_CONDITIONAL),
    conditionalComplete: documented('honoured', AWS_CONDITIONAL),
    presignedPost: documented(true, 'https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html'),
    pathStyle: documented(false, 'https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html'),
    corsCalls: documented(true, 'https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html'),
    lifecycleCalls: documented(true, AWS_ABORT_RULE),
    lifecycleAbortIsSafe: documented(true, AWS_ABORT_RULE),
    strictRegion: documented(
      true,
      'https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html',
    ),
  },
  swift: {
    name: 'swift',
    title: 'OpenStack Swift with s3api',
    // The default of s3api; what this very server allows is read from its GET /info.
    maxParts: measured(1_000),
    checksums: measured('ignored'),
    contentMd5: measured(true),
    conditionalPut: measured('refused'),
    conditionalComplete: measured('honoured'),
    presignedPost: measured(false),
    pathStyle: measured(true),
    corsCalls: measured(false),
    lifecycleCalls: measured(false),
    lifecycleAbortIsSafe: measured(false),
    strictRegion: measured(true),
  },
  ceph: {
    name: 'ceph',
    title: 'Ceph Object Gateway (RGW)',
    maxParts: documented(10_000, 'https://docs.ceph.com/en/latest/radosgw/config-ref/'),
    checksums: measured('ignored'),
    contentMd5: measured(true),
    conditionalPut: measured('honoured'),
    conditionalComplete: measured('ignored'),
    presignedPost: measured(true),
    pathStyle: measured(true),
    corsCalls: measured(true),
    lifecycleCalls: measured(true),
    lifecycleAbortIsSafe: measured(false),
    strictRegion: measured(false),
  },
  minio: {
    ...UNKNOWN,
    name: 'minio',
    title: 'MinIO',
    presignedPost: guessed(true),
    corsCalls: guessed(false),
  },
  ovh: {
    ...UNKNOWN,
    name: 'ovh',
    title: 'OVHcloud Object Storage (S3 classes)',
    maxParts: documented(10_000, OVH_LIMITS),
    lifecycleCalls: documented(true, OVH_LIMITS),
  },
  'local-s3': {
    name: 'local-s3',
    title: 'local-s3, the development server of this repository',
    maxParts: measured(10_000),
    checksums: measured('verified'),
    contentMd5: measured(true),
    conditionalPut: measured('honoured'),
    conditionalComplete: measured('honoured'),
    presignedPost: measured(true),
    pathStyle: measured(true),
    corsCalls: measured(true),
    lifecycleCalls: measured(true),
    lifecycleAbortIsSafe: measured(true),
    strictRegion: measured(true),
  },
};

/** What answers of a store tell of it, beside what was asked. */
export interface StoreTraces {
  /** Host name of the endpoint. */
  readonly host: string;
  /** Headers of an answer, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Names the store by its host and by headers that it sends with every answer; `unknown` when nothing gives it away. */
export function recogniseStore({ host, headers }: StoreTraces): StoreName {
  const { server = '' } = headers;
  if (/(^|\.)amazonaws\.com(\.cn)?$/.test(host) || server === 'AmazonS3') return 'aws-s3';
  if (server === 'local-s3') return 'local-s3';
  if (server.startsWith('Ceph Object Gateway')) return 'ceph';
  if (server.startsWith('MinIO')) return 'minio';
  if ('x-openstack-request-id' in headers || 'x-trans-id' in headers) return 'swift';
  // Ceph before 18 sends no Server header; its request ids end with the name of the zone.
  if (/^tx[0-9a-f]{21}-[0-9a-f]{10}-[0-9a-f]+-/.test(headers['x-amz-request-id'] ?? '')) return 'ceph';
  if (/\.cloud\.ovh\.(net|us|ca)$/.test(host)) return 'ovh';
  return 'unknown';
}
