import { createHash } from 'node:crypto';
import {
  DeleteBucketCorsCommand,
  DeleteBucketLifecycleCommand,
  GetBucketCorsCommand,
  GetBucketLifecycleConfigurationCommand,
  HeadBucketCommand,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
} from '@aws-sdk/client-s3';
import { api, type ContractCase, ERROR_LIST, inArea } from '../contract.js';
import { refused, refusedAnswer, same } from '../expectations.js';

/**
 * Requests that would harm a server which takes an unknown sub-resource for the bucket or object itself: Swift 2.30 and Ceph 16.2 deleted
 * the bucket for some of these, Swift replaced the object. They are for local-s3 alone.
 */
const BUCKET_PARTS = [
  'encryption',
  'ownershipControls',
  'policy',
  'publicAccessBlock',
  'replication',
  'tagging',
  'website',
];
const OBJECT_PARTS = ['acl', 'legal-hold', 'retention', 'tagging'];

function refusesDelete(part: string): Omit<ContractCase, 'area'> {
  return {
    id: `own.delete-bucket-${part.toLowerCase()}`,
    title: `DELETE ?${part} is 501 NotImplemented, and the bucket stays`,
    source: ERROR_LIST,
    needs: ['own', 'buckets'],
    run: async (s3) => {
      const Bucket = await s3.newBucket();
      refusedAnswer(await s3.raw({ method: 'DELETE', bucket: Bucket, query: part }), 501, 'NotImplemented');
      same((await s3.send(new HeadBucketCommand({ Bucket }))).$metadata.httpStatusCode, 200, 'HeadBucket');
    },
  };
}

function refusesPut(part: string): Omit<ContractCase, 'area'> {
  return {
    id: `own.put-object-${part}`,
    title: `PUT ?${part} of an object is 501 NotImplemented, and the object stays`,
    source: ERROR_LIST,
    needs: ['own'],
    run: async (s3) => {
      await s3.put('object', 'content');
      const body = '<Any/>';
      const headers = { 'content-md5': createHash('md5').update(body).digest('base64') };
      const answer = await s3.raw({ method: 'PUT', name: 'object', query: part, body, headers });
      refusedAnswer(answer, 501, 'NotImplemented');
      same(await s3.text('object'), 'content', 'content');
    },
  };
}

export const OWN_CASES = [
  ...inArea('errors', [...BUCKET_PARTS.map(refusesDelete), ...OBJECT_PARTS.map(refusesPut)]),
  ...inArea('cors', [
    {
      id: 'own.delete-cors',
      title: 'DeleteBucketCors removes the rules and nothing else',
      source: api('API_DeleteBucketCors'),
      needs: ['own', 'buckets'],
      run: async (s3) => {
        const Bucket = await s3.newBucket();
        const CORSRules = [{ AllowedOrigins: ['*'], AllowedMethods: ['GET'] }];
        await s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
        await s3.send(new DeleteBucketCorsCommand({ Bucket }));
        await refused(s3.send(new GetBucketCorsCommand({ Bucket })), 404, 'NoSuchCORSConfiguration');
      },
    },
  ]),
  ...inArea('lifecycle', [
    {
      id: 'own.delete-lifecycle',
      title: 'DeleteBucketLifecycle removes the rules and nothing else',
      source: api('API_DeleteBucketLifecycle'),
      needs: ['own', 'buckets'],
      run: async (s3) => {
        const Bucket = await s3.newBucket();
        const AbortIncompleteMultipartUpload = { DaysAfterInitiation: 7 };
        const Rules = [{ Status: 'Enabled' as const, Filter: { Prefix: '' }, AbortIncompleteMultipartUpload }];
        await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }));
        await s3.send(new DeleteBucketLifecycleCommand({ Bucket }));
        const call = s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket }));
        await refused(call, 404, 'NoSuchLifecycleConfiguration');
      },
    },
  ]),
];
