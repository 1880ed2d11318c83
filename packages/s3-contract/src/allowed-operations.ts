/**
 * What the suite may ask of a server that is not ours. Some servers do not know a sub-resource and take the request for one
 * on the bucket or the object itself: on OpenStack Swift 2.30 and Ceph 16.2 a sub-resource DELETE deleted the bucket, and a
 * sub-resource PUT replaced the object. So no operation stands here that such a server could take for a worse one.
 */
export const ALLOWED_OPERATIONS: ReadonlySet<string> = new Set([
  'AbortMultipartUpload',
  'CompleteMultipartUpload',
  'CopyObject',
  'CreateBucket',
  'CreateMultipartUpload',
  'DeleteBucket',
  'DeleteObject',
  'DeleteObjects',
  'GetBucketCors',
  'GetBucketLifecycleConfiguration',
  'GetBucketLocation',
  'GetObject',
  'HeadBucket',
  'HeadObject',
  'ListBuckets',
  'ListMultipartUploads',
  'ListObjects',
  'ListObjectsV2',
  'ListParts',
  'PutBucketCors',
  'PutBucketLifecycleConfiguration',
  'PutObject',
  'UploadPart',
  'UploadPartCopy',
]);

/** Query parameters of requests that are written by hand. Signatures' own, x-amz-*, are free. */
export const ALLOWED_PARAMETERS: ReadonlySet<string> = new Set([
  'continuation-token',
  'delete',
  'delimiter',
  'encoding-type',
  'list-type',
  'max-keys',
  'partNumber',
  'prefix',
  'uploadId',
  'uploads',
]);
