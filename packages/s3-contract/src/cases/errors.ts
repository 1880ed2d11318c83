import {
  CreateBucketCommand,
  DeleteBucketCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { XMLParser } from 'fast-xml-parser';
import { type CaseContext, streamOf } from '../case-context.js';
import { api, ERROR_LIST, guide, inArea, MEASURED, MEASURED_ON_SWIFT } from '../contract.js';
import { must, refused, refusedAnswer, same } from '../expectations.js';

const NEVER_MADE = 's3-contract-never-made';
const REST_ERRORS = api('RESTErrorResponses');
const AUTHENTICATION = api('sig-v4-authenticating-requests');
const EXPECT = api('RESTObjectPUT');

function listAs(s3: CaseContext, credentials: { accessKeyId: string; secretAccessKey: string }, region?: string) {
  const client = s3.newClient({ credentials, ...(region === undefined ? {} : { region }) });
  return client.send(new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: s3.prefix, MaxKeys: 1 }));
}

export const ERROR_CASES = inArea('errors', [
  {
    id: 'errors.no-such-key',
    title: 'GET of a key that is not there is NoSuchKey',
    source: ERROR_LIST,
    run: (s3) => refused(s3.read('never'), 404, 'NoSuchKey'),
  },
  {
    id: 'errors.head-no-such-key',
    title: 'HEAD of a key that is not there is 404 without a body',
    source: api('API_HeadObject'),
    run: async (s3) => {
      const connection = await s3.connect();
      for (let round = 0; round < 2; round += 1) {
        await connection.write(s3.signedHead({ method: 'HEAD', name: 'never' }).head);
        same((await connection.answer('HEAD')).status, 404, `status of HEAD ${round + 1} on one connection`);
      }
    },
  },
  {
    id: 'errors.document',
    title: 'an error is an XML document with Code, Message and RequestId, and no secret',
    source: REST_ERRORS,
    run: async (s3) => {
      const answer = await s3.raw({ method: 'GET', name: 'never' });
      const { Error: error } = new XMLParser().parse(answer.body.toString()) as { Error?: Record<string, unknown> };
      must(
        /^(application|text)\/xml/.test(answer.headers['content-type'] ?? ''),
        `type ${answer.headers['content-type']}`,
      );
      same(error?.Code, 'NoSuchKey', 'Code');
      must(error?.RequestId !== undefined, 'no RequestId in the document');
      must(error?.Message !== undefined, 'no Message in the document');
      must(!answer.body.includes(s3.store.secretAccessKey), 'the secret is in the document');
    },
  },
  {
    id: 'errors.request-id',
    title: 'every answer carries x-amz-request-id, another one each time',
    source: api('RESTCommonResponseHeaders'),
    run: async (s3) => {
      const ids = [
        await s3.raw({ method: 'GET', name: 'never' }),
        await s3.raw({ method: 'PUT', name: 'object', body: 'x' }),
      ].map(({ headers }) => headers['x-amz-request-id'] ?? '');
      must(
        ids.every((id) => id !== ''),
        'x-amz-request-id is missing',
      );
      must(ids[0] !== ids[1], 'two answers have the same x-amz-request-id');
    },
  },
  ...(['get', 'put', 'list', 'create'] as const).map((call) => ({
    id: `errors.no-such-bucket-${call}`,
    title: `a bucket that is not there is NoSuchBucket (${call})`,
    source: ERROR_LIST,
    run: async (s3: CaseContext) => {
      const at = { Bucket: NEVER_MADE, Key: 'key' };
      const calls = {
        get: () => s3.send(new GetObjectCommand(at)),
        put: () => s3.send(new PutObjectCommand({ ...at, Body: 'x' })),
        list: () => s3.send(new ListObjectsV2Command({ Bucket: NEVER_MADE })),
        create: () => s3.upload('object', { Bucket: NEVER_MADE }),
      };
      await refused(calls[call](), 404, 'NoSuchBucket');
    },
  })),
  {
    id: 'errors.head-no-such-bucket',
    title: 'HeadBucket of a bucket that is not there is 404, of one that is there 200',
    source: api('API_HeadBucket'),
    run: async (s3) => {
      await refused(s3.send(new HeadBucketCommand({ Bucket: NEVER_MADE })), 404);
      same((await s3.send(new HeadBucketCommand({ Bucket: s3.bucket }))).$metadata.httpStatusCode, 200, 'status');
    },
  },
  {
    id: 'errors.wrong-secret',
    title: 'a wrong secret is SignatureDoesNotMatch',
    source: ERROR_LIST,
    run: (s3) => {
      const secretAccessKey = `${s3.store.secretAccessKey}x`;
      return refused(listAs(s3, { ...s3.store, secretAccessKey }), 403, 'SignatureDoesNotMatch');
    },
  },
  {
    id: 'errors.unknown-key',
    title: 'an unknown access key is InvalidAccessKeyId',
    source: ERROR_LIST,
    run: (s3) => {
      const accessKeyId = `${s3.store.accessKeyId}X`;
      return refused(listAs(s3, { ...s3.store, accessKeyId }), 403, 'InvalidAccessKeyId');
    },
  },
  {
    id: 'errors.wrong-secret-large-body',
    title: 'a wrong secret with a body of 16 MiB is answered, not reset',
    source: MEASURED,
    run: async (s3) => {
      const credentials = { ...s3.store, secretAccessKey: `${s3.store.secretAccessKey}x` };
      const client = s3.newClient({ credentials, requestChecksumCalculation: 'WHEN_REQUIRED' });
      const chunk = Buffer.alloc(1024 ** 2);
      const Body = streamOf(...Array.from({ length: 16 }, () => chunk));
      const call = client.send(new PutObjectCommand({ ...s3.at('object'), Body, ContentLength: 16 * chunk.length }));
      await refused(call, 403, 'SignatureDoesNotMatch');
    },
  },
  {
    id: 'errors.wrong-region',
    title: 'a signature for another region is AuthorizationHeaderMalformed and names the right one',
    source: ERROR_LIST,
    run: async (s3) => {
      const region = s3.store.region === 'eu-west-3' ? 'eu-west-1' : 'eu-west-3';
      const answer = await s3.raw({ method: 'GET', name: 'never', key: { region } });
      refusedAnswer(answer, 400, 'AuthorizationHeaderMalformed');
      must(answer.body.includes(`<Region>${s3.store.region}</Region>`), 'the right region is not named');
    },
  },
  {
    id: 'errors.anonymous',
    title: 'a request without a signature is AccessDenied',
    source: AUTHENTICATION,
    run: async (s3) => {
      await s3.put('object', 'content');
      const url = `${s3.store.endpoint}/${s3.bucket}/${s3.key('object')}`;
      refusedAnswer(await s3.fetch(url), 403, 'AccessDenied');
      refusedAnswer(await s3.fetch(url, { method: 'PUT', body: 'x' }), 403, 'AccessDenied');
      refusedAnswer(await s3.fetch(url, { method: 'DELETE' }), 403, 'AccessDenied');
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'errors.tampered-header',
    title: 'a signed header that was changed on the way is SignatureDoesNotMatch',
    source: AUTHENTICATION,
    run: async (s3) => {
      const headers = { 'x-amz-meta-job': '42' };
      const { head } = s3.signedHead({
        method: 'PUT',
        name: 'object',
        headers,
        unsignedHeaders: { 'content-length': '0' },
      });
      refusedAnswer(await s3.rawBytes(head.replace('job: 42', 'job: 43'), 'PUT'), 403, 'SignatureDoesNotMatch');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'errors.smuggled-header',
    title: 'an x-amz-* header that is not signed is refused',
    source: AUTHENTICATION,
    run: async (s3) => {
      const request = { method: 'PUT', name: 'object', body: 'x', unsignedHeaders: { 'x-amz-meta-smuggled': '1' } };
      const { status, code } = await s3.raw(request);
      must(status === 403 || status === 400, `${status} ${code}`);
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'errors.no-length',
    title: 'PUT without Content-Length is MissingContentLength',
    source: ERROR_LIST,
    run: async (s3) => {
      const { head } = s3.signedHead({ method: 'PUT', name: 'object', payloadHash: 'UNSIGNED-PAYLOAD' });
      refusedAnswer(await s3.rawBytes(head, 'PUT'), 411, 'MissingContentLength');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'errors.cut-body',
    title: 'a body that ends before its Content-Length stores nothing and keeps the old object',
    source: ERROR_LIST,
    run: async (s3) => {
      await s3.put('object', 'old');
      const unsignedHeaders = { 'content-length': '1000' };
      const request = { method: 'PUT', name: 'object', payloadHash: 'UNSIGNED-PAYLOAD', unsignedHeaders };
      const connection = await s3.connect();
      await connection.write(`${s3.signedHead(request).head}half`);
      connection.cut();
      same(await s3.text('object'), 'old', 'content');
    },
  },
  {
    id: 'errors.expect-continue',
    title: 'Expect: 100-continue is answered before the body is sent',
    source: EXPECT,
    run: async (s3) => {
      const unsignedHeaders = { 'content-length': '7', expect: '100-continue' };
      const connection = await s3.connect();
      await connection.write(s3.signedHead({ method: 'PUT', name: 'object', body: 'content', unsignedHeaders }).head);
      same(await connection.interim(), 100, 'interim status');
      await connection.write('content');
      same((await connection.answer('PUT')).status, 200, 'status');
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'errors.expect-refused',
    title: 'Expect: 100-continue with a wrong signature is refused without asking for the body',
    source: EXPECT,
    run: async (s3) => {
      const unsignedHeaders = { 'content-length': '7', expect: '100-continue' };
      const key = { secretAccessKey: `${s3.store.secretAccessKey}x` };
      const connection = await s3.connect();
      await connection.write(
        s3.signedHead({ method: 'PUT', name: 'object', body: 'content', unsignedHeaders, key }).head,
      );
      same((await connection.answer('PUT')).status, 403, 'first status');
    },
  },
  {
    id: 'errors.bucket-not-empty',
    title: 'DeleteBucket of a bucket with an object is BucketNotEmpty',
    source: ERROR_LIST,
    needs: ['buckets'],
    run: async (s3) => {
      const Bucket = await s3.newBucket();
      await s3.send(new PutObjectCommand({ Bucket, Key: 'object', Body: 'x' }));
      await refused(s3.send(new DeleteBucketCommand({ Bucket })), 409, 'BucketNotEmpty');
    },
  },
  {
    id: 'errors.bucket-life',
    title: 'a bucket is there after CreateBucket, listed, and gone after DeleteBucket',
    source: api('API_CreateBucket'),
    needs: ['buckets'],
    run: async (s3) => {
      const Bucket = await s3.newBucket();
      const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
      must(
        Buckets.some(({ Name }) => Name === Bucket),
        'not among ListBuckets',
      );
      same((await s3.send(new DeleteBucketCommand({ Bucket }))).$metadata.httpStatusCode, 204, 'status');
      await refused(s3.send(new HeadBucketCommand({ Bucket })), 404);
    },
  },
  {
    id: 'errors.bucket-name',
    title: 'a bucket name with capitals is InvalidBucketName',
    source: guide('bucketnamingrules'),
    needs: ['buckets'],
    run: (s3) => refused(s3.send(new CreateBucketCommand({ Bucket: 'S3_Contract' })), 400, 'InvalidBucketName'),
  },
  {
    id: 'errors.bucket-elsewhere',
    title: 'CreateBucket for a region that is not the one of the endpoint is refused',
    source: ERROR_LIST,
    needs: ['buckets'],
    run: async (s3) => {
      const LocationConstraint = s3.store.region === 'eu-west-3' ? 'eu-west-1' : 'eu-west-3';
      const Bucket = `${NEVER_MADE}-elsewhere`;
      const call = s3.send(new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint } }));
      await refused(call, 400, 'IllegalLocationConstraintException', 'InvalidLocationConstraint');
    },
  },
  {
    id: 'errors.location',
    title: 'GetBucketLocation names the region, and nothing for us-east-1',
    source: api('API_GetBucketLocation'),
    run: async (s3) => {
      const { LocationConstraint } = await s3.send(new GetBucketLocationCommand({ Bucket: s3.bucket }));
      const { region } = s3.store;
      same(LocationConstraint ?? '', region === 'us-east-1' ? '' : region, 'LocationConstraint');
    },
  },
  {
    id: 'errors.keep-alive',
    title: 'a connection serves on after an error',
    source: MEASURED,
    run: async (s3) => {
      await s3.put('object', 'content');
      const connection = await s3.connect();
      await connection.write(s3.signedHead({ method: 'GET', name: 'never' }).head);
      same((await connection.answer('GET')).status, 404, 'first status');
      await connection.write(s3.signedHead({ method: 'GET', name: 'object' }).head);
      same((await connection.answer('GET')).body.toString(), 'content', 'second answer');
    },
  },
  {
    id: 'errors.unknown-method',
    title: 'a method that S3 does not have is MethodNotAllowed',
    source: ERROR_LIST,
    run: async (s3) => {
      refusedAnswer(await s3.raw({ method: 'PATCH', name: 'object' }), 405, 'MethodNotAllowed');
    },
  },
  {
    id: 'errors.malformed-authorization',
    title: 'an Authorization header without its fields is refused with 400 or 403',
    source: MEASURED_ON_SWIFT,
    run: async (s3) => {
      const { head } = s3.signedHead({ method: 'GET', name: 'object' });
      const broken = head.replace(/authorization: [^\r]*/, 'authorization: AWS4-HMAC-SHA256 Credential=nobody');
      const { status, code } = await s3.rawBytes(broken);
      must(status === 400 || status === 403, `${status} ${code}`);
    },
  },
]);
