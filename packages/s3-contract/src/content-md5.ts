import { createHash } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';

/**
 * Makes a client send Content-MD5 in place of x-amz-checksum-*: DeleteObjects and bucket configurations need one of the two,
 * and stores that do not know the newer header refuse requests without the older.
 */
export function sendContentMd5(client: S3Client): S3Client {
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { headers: Record<string, string>; body?: unknown };
      for (const name of Object.keys(request.headers)) {
        if (/^x-amz-(checksum-|sdk-checksum-)/i.test(name)) delete request.headers[name];
      }
      if (typeof request.body === 'string' || request.body instanceof Uint8Array) {
        request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64');
      }
      return next(args);
    },
    // After the SDK's checksums (same step), before the signature.
    { step: 'build', priority: 'low', name: 'sendContentMd5' },
  );
  return client;
}
