import { createHmac } from 'node:crypto';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { createPresignedPost, type PresignedPost, type PresignedPostOptions } from '@aws-sdk/s3-presigned-post';
import type { CaseContext, FetchedAnswer } from '../case-context.js';
import { api, type ContractCase, inArea, MEASURED, MEASURED_ON_CEPH } from '../contract.js';
import { must, refused, refusedAnswer, same } from '../expectations.js';
import { amzTimestamp, encodeQueryValue, signRequest } from '../wire/signature-v4.js';

const QUERY_AUTH = api('sigv4-query-string-auth');
const POST = api('sigv4-HTTPPOSTConstructPolicy');
const POST_OBJECT = api('RESTObjectPOST');
const WEEK_SECONDS = 7 * 24 * 60 * 60;

type Fields = Record<string, string>;
type PostSettings = Pick<PresignedPostOptions, 'Conditions' | 'Fields' | 'Expires'> & { readonly name?: string };

function policyFor(s3: CaseContext, { name = 'object', ...settings }: PostSettings = {}): Promise<PresignedPost> {
  return createPresignedPost(s3.client, { ...s3.at(name), Expires: 300, ...settings });
}

/** As a browser sends a form: fields first, the file last. */
async function submit(
  s3: CaseContext,
  post: PresignedPost,
  file: string | Blob,
  more: Fields = {},
): Promise<FetchedAnswer> {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...post.fields, ...more })) form.append(name, value);
  form.append('file', typeof file === 'string' ? new Blob([file]) : file, 'from disk.txt');
  return s3.fetch(post.url, { method: 'POST', body: form });
}

/** A form that the server must refuse, and nothing is stored. */
async function refusesForm(
  s3: CaseContext,
  answer: Promise<FetchedAnswer>,
  status: number | readonly number[],
  ...codes: string[]
): Promise<void> {
  refusedAnswer(await answer, status, ...codes);
  await refused(s3.head('object'), 404);
}

/** A presigned GET whose query is written by hand, for what the presigner would not sign. */
function presignByHand(s3: CaseContext, changes: { seconds?: number | string; time?: Date }): string {
  const time = changes.time ?? new Date();
  const { host } = new URL(s3.store.endpoint);
  const path = `/${s3.bucket}/${s3.key('object')}`;
  const day = amzTimestamp(time).slice(0, 8);
  const query = Object.entries({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${s3.store.accessKeyId}/${day}/${s3.store.region}/s3/aws4_request`,
    'X-Amz-Date': amzTimestamp(time),
    'X-Amz-Expires': String(changes.seconds ?? 300),
    'X-Amz-SignedHeaders': 'host',
  })
    .map(([name, value]) => `${name}=${encodeQueryValue(value)}`)
    .join('&');
  const payloadHash = 'UNSIGNED-PAYLOAD';
  const request = { method: 'GET', path, query, headers: { host }, payloadHash, time };
  const { signature } = signRequest(request, s3.store);
  return `${s3.store.endpoint}${path}?${query}&X-Amz-Signature=${signature}`;
}

function lifetime(
  id: string,
  seconds: number | string,
  outcome: 'served' | 'refused',
  title: string,
): Omit<ContractCase, 'area'> {
  return {
    id: `presigned.${id}`,
    title,
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const answer = await s3.fetch(presignByHand(s3, { seconds }));
      // AWS gives bounds, but no status for what lies outside of them.
      if (outcome === 'served') same(answer.status, 200, `status (${answer.code})`);
      else refusedAnswer(answer, [400, 403]);
    },
  };
}

export const PRESIGNED_CASES = inArea('presigned', [
  {
    id: 'presigned.get',
    title: 'a presigned GET gives the object to plain fetch',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content', { ContentType: 'video/mp4' });
      const answer = await s3.fetch(await s3.presignGet('object'));
      same([answer.status, answer.body.toString()], [200, 'content'], 'status and content');
      same(answer.headers.get('content-type'), 'video/mp4', 'Content-Type');
    },
  },
  {
    id: 'presigned.get-default-client',
    title: "a presigned GET of the SDK's defaults, which asks for a checksum in the query",
    source: MEASURED,
    run: async (s3) => {
      await s3.put('object', 'content');
      const answer = await s3.fetch(await s3.presignGet('object', { client: s3.defaults }));
      same([answer.status, answer.body.toString()], [200, 'content'], 'status and content');
    },
  },
  {
    id: 'presigned.get-overrides',
    title: 'response-content-type and -disposition of a presigned GET, with UTF-8 in the file name',
    source: api('API_GetObject'),
    run: async (s3) => {
      await s3.put('object', 'content', { ContentType: 'text/html' });
      const disposition = `attachment; filename="a b.txt"; filename*=UTF-8''${encodeURIComponent('é.txt')}`;
      const overrides = { ResponseContentType: 'text/plain', ResponseContentDisposition: disposition };
      const url = await s3.presign(new GetObjectCommand({ ...s3.at('object'), ...overrides }));
      const { headers } = await s3.fetch(url);
      const got = [headers.get('content-type'), headers.get('content-disposition')];
      same(got, ['text/plain', disposition], 'headers');
    },
  },
  {
    id: 'presigned.range',
    title: 'a presigned GET with a Range gives 206',
    source: api('API_GetObject'),
    run: async (s3) => {
      await s3.put('object', '0123456789');
      const answer = await s3.fetch(await s3.presignGet('object'), { headers: { range: 'bytes=2-4' } });
      same([answer.status, answer.body.toString()], [206, '234'], 'status and content');
      same(answer.headers.get('content-range'), 'bytes 2-4/10', 'Content-Range');
    },
  },
  {
    id: 'presigned.if-none-match',
    title: 'a presigned GET with If-None-Match gives 304 for its ETag',
    source: api('API_GetObject'),
    run: async (s3) => {
      const { ETag = '' } = await s3.put('object', 'content');
      const answer = await s3.fetch(await s3.presignGet('object'), { headers: { 'if-none-match': ETag } });
      same(answer.status, 304, 'status');
    },
  },
  {
    id: 'presigned.head',
    title: 'a presigned HEAD gives the length',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const url = await s3.presign(new HeadObjectCommand(s3.at('object')));
      const answer = await s3.fetch(url, { method: 'HEAD' });
      same([answer.status, answer.headers.get('content-length')], [200, '7'], 'status and length');
    },
  },
  {
    id: 'presigned.get-is-not-put',
    title: 'a URL signed for GET does not serve PUT, DELETE or HEAD',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const url = await s3.presignGet('object');
      for (const method of ['PUT', 'DELETE', 'HEAD']) {
        const answer = await s3.fetch(url, { method, ...(method === 'PUT' ? { body: 'other' } : {}) });
        same(answer.status, 403, `status of ${method}`);
      }
      same(await s3.text('object'), 'content', 'content');
    },
  },
  ...(['required', 'default'] as const).map((kind) => ({
    id: `presigned.put-${kind}`,
    title: `a presigned PUT from plain fetch stores the body (${kind === 'required' ? 'WHEN_REQUIRED' : 'default'} client)`,
    source: kind === 'required' ? QUERY_AUTH : MEASURED,
    run: async (s3: CaseContext) => {
      const client = kind === 'required' ? s3.client : s3.defaults;
      // The default client signs the checksum of an empty body into the URL: no other body fits it on AWS.
      const body = kind === 'required' ? 'content' : '';
      const answer = await s3.fetch(await s3.presignPut('object', { client }), { method: 'PUT', body });
      same([answer.status, answer.code], [200, ''], 'status and code');
      same(await s3.text('object'), body, 'content');
    },
  })),
  {
    id: 'presigned.put-metadata',
    title: 'a presigned PUT with metadata in its query stores it',
    source: MEASURED_ON_CEPH,
    run: async (s3) => {
      const Metadata = { job: '42' };
      const url = await s3.presign(new PutObjectCommand({ ...s3.at('object'), Metadata }));
      same((await s3.fetch(url, { method: 'PUT', body: 'x' })).status, 200, 'status');
      same((await s3.head('object')).Metadata, Metadata, 'metadata');
    },
  },
  {
    id: 'presigned.put-signed-type',
    title: 'a presigned PUT with a signed Content-Type refuses another one',
    source: QUERY_AUTH,
    run: async (s3) => {
      const command = new PutObjectCommand({ ...s3.at('object'), ContentType: 'image/png' });
      const url = await s3.presign(command, { signableHeaders: new Set(['host', 'content-type']) });
      const put = (type: string) => s3.fetch(url, { method: 'PUT', body: 'x', headers: { 'content-type': type } });
      refusedAnswer(await put('text/html'), 403, 'SignatureDoesNotMatch');
      same((await put('image/png')).status, 200, 'status with the signed type');
    },
  },
  {
    id: 'presigned.put-signed-length',
    title: 'a presigned PUT with a signed Content-Length refuses a body of another length',
    source: QUERY_AUTH,
    run: async (s3) => {
      const command = new PutObjectCommand({ ...s3.at('object'), ContentLength: 7 });
      const url = await s3.presign(command, { signableHeaders: new Set(['host', 'content-length']) });
      refusedAnswer(await s3.fetch(url, { method: 'PUT', body: 'too long' }), 403, 'SignatureDoesNotMatch');
      same((await s3.fetch(url, { method: 'PUT', body: 'content' })).status, 200, 'status with the signed length');
    },
  },
  {
    id: 'presigned.unsigned-amz-header',
    title: 'an x-amz-* header that was not signed is refused',
    source: QUERY_AUTH,
    run: async (s3) => {
      const headers = { 'x-amz-meta-smuggled': '1' };
      const answer = await s3.fetch(await s3.presignPut('object'), { method: 'PUT', body: 'x', headers });
      same(answer.status, 403, `status (${answer.code})`);
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'presigned.part',
    title: 'a presigned UploadPart from plain fetch stores the part and answers with its ETag',
    source: QUERY_AUTH,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const url = await s3.presign(new UploadPartCommand({ ...upload.ids, PartNumber: 1 }));
      const answer = await s3.fetch(url, { method: 'PUT', body: 'content' });
      same(answer.status, 200, 'status');
      await upload.complete([{ PartNumber: 1, ETag: answer.headers.get('etag') ?? '' }]);
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'presigned.part-other-number',
    title: 'a URL signed for part 1 does not serve part 2',
    source: QUERY_AUTH,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const url = await s3.presign(new UploadPartCommand({ ...upload.ids, PartNumber: 1 }));
      const answer = await s3.fetch(url.replace('partNumber=1', 'partNumber=2'), { method: 'PUT', body: 'x' });
      refusedAnswer(answer, 403, 'SignatureDoesNotMatch');
    },
  },
  {
    id: 'presigned.part-signed-length',
    title: 'a presigned UploadPart with a signed Content-Length refuses a body of another length',
    source: MEASURED,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const command = new UploadPartCommand({ ...upload.ids, PartNumber: 1, ContentLength: 7 });
      const url = await s3.presign(command, { signableHeaders: new Set(['host', 'content-length']) });
      refusedAnswer(await s3.fetch(url, { method: 'PUT', body: 'too long' }), 403, 'SignatureDoesNotMatch');
      same((await upload.list()).Parts ?? [], [], 'parts');
    },
  },
  {
    id: 'presigned.delete',
    title: 'a presigned DELETE removes the object',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const url = await s3.presign(new DeleteObjectCommand(s3.at('object')));
      same((await s3.fetch(url, { method: 'DELETE' })).status, 204, 'status');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'presigned.tampered-key',
    title: 'a URL signed for one key does not serve another',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      await s3.put('secret', 'secret');
      const url = await s3.presignGet('object');
      refusedAnswer(await s3.fetch(url.replace('/object?', '/secret?')), 403, 'SignatureDoesNotMatch');
    },
  },
  {
    id: 'presigned.tampered-lifetime',
    title: 'a URL whose X-Amz-Expires was raised is refused',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const url = await s3.presignGet('object');
      refusedAnswer(
        await s3.fetch(url.replace('X-Amz-Expires=300', 'X-Amz-Expires=3000')),
        403,
        'SignatureDoesNotMatch',
      );
    },
  },
  {
    id: 'presigned.added-override',
    title: 'a response-* parameter added after the signature is refused',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const url = `${await s3.presignGet('object')}&response-content-type=text%2Fhtml`;
      refusedAnswer(await s3.fetch(url), 403, 'SignatureDoesNotMatch');
    },
  },
  {
    id: 'presigned.expired',
    title: 'a URL past its end is 403 AccessDenied',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const time = new Date(Date.now() - 600_000);
      refusedAnswer(await s3.fetch(presignByHand(s3, { seconds: 60, time })), 403, 'AccessDenied');
    },
  },
  lifetime('week', WEEK_SECONDS, 'served', 'a lifetime of 604,800 s is accepted'),
  lifetime('over-a-week', WEEK_SECONDS + 1, 'refused', 'a lifetime above 604,800 s is refused'),
  lifetime('negative-lifetime', -1, 'refused', 'a negative lifetime is refused'),
  lifetime('no-number-lifetime', 'soon', 'refused', 'a lifetime that is no number is refused'),
  {
    id: 'presigned.missing-parameter',
    title: 'a URL without its X-Amz-SignedHeaders is refused',
    source: QUERY_AUTH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const url = presignByHand(s3, {}).replace('&X-Amz-SignedHeaders=host', '');
      const { status, code } = await s3.fetch(url);
      must(status === 400 || status === 403, `${status} ${code}`);
    },
  },
  {
    id: 'presigned.both-signatures',
    title: 'a presigned URL and an Authorization header in one request are refused',
    source: MEASURED_ON_CEPH,
    run: async (s3) => {
      await s3.put('object', 'content');
      const { authorization } = s3.signedHead({ method: 'GET', name: 'object' });
      const { status, code } = await s3.fetch(presignByHand(s3, {}), { headers: { authorization } });
      must(status === 400 || status === 403, `${status} ${code}`);
    },
  },
  {
    id: 'presigned.post',
    title: 'a presigned POST stores the file with the fields of its form, and answers 204 with the ETag',
    source: POST_OBJECT,
    run: async (s3) => {
      const Fields = { 'Content-Type': 'image/png', 'x-amz-meta-job': '42', 'Cache-Control': 'no-store' };
      const answer = await submit(s3, await policyFor(s3, { Fields }), 'content');
      same([answer.status, answer.code], [204, ''], 'status and code');
      const got = await s3.read('object');
      same(answer.headers.get('etag'), got.ETag, 'ETag');
      same([got.bytes.toString(), got.ContentType], ['content', 'image/png'], 'content and type');
      same([got.Metadata, got.CacheControl], [{ job: '42' }, 'no-store'], 'metadata and Cache-Control');
    },
  },
  {
    id: 'presigned.post-8-mib',
    title: 'a presigned POST stores 8 MiB byte by byte',
    source: POST_OBJECT,
    run: async (s3) => {
      const body = `${'\r\n--'.repeat(2 * 1024 ** 2)}end`;
      same((await submit(s3, await policyFor(s3), body)).status, 204, 'status');
      same((await s3.text('object')) === body, true, 'content is the same');
    },
  },
  {
    id: 'presigned.post-too-large',
    title: 'a file above content-length-range is EntityTooLarge',
    source: POST,
    run: async (s3) => {
      const post = await policyFor(s3, { Conditions: [['content-length-range', 2, 7]] });
      await refusesForm(s3, submit(s3, post, 'too long'), 400, 'EntityTooLarge');
      same((await submit(s3, post, 'content')).status, 204, 'status of 7 bytes');
    },
  },
  {
    id: 'presigned.post-too-small',
    title: 'a file below content-length-range is EntityTooSmall',
    source: POST,
    run: async (s3) => {
      const post = await policyFor(s3, { Conditions: [['content-length-range', 2, 7]] });
      await refusesForm(s3, submit(s3, post, 'x'), 400, 'EntityTooSmall');
    },
  },
  {
    id: 'presigned.post-other-key',
    title: 'a form for another key than the policy names is AccessDenied',
    source: POST,
    run: async (s3) => {
      const answer = submit(s3, await policyFor(s3, { name: 'allowed' }), 'x', { key: s3.key('object') });
      await refusesForm(s3, answer, 403, 'AccessDenied');
    },
  },
  {
    id: 'presigned.post-starts-with',
    title: 'starts-with lets any value in that begins so, and no other',
    source: POST,
    run: async (s3) => {
      const post = await policyFor(s3, { Conditions: [['starts-with', '$Content-Type', 'image/']] });
      await refusesForm(s3, submit(s3, post, 'x', { 'Content-Type': 'text/html' }), 403, 'AccessDenied');
      same((await submit(s3, post, 'x', { 'Content-Type': 'image/webp' })).status, 204, 'status of image/webp');
      same((await s3.head('object')).ContentType, 'image/webp', 'Content-Type');
    },
  },
  {
    id: 'presigned.post-field-not-in-policy',
    title: 'a field that no condition names is AccessDenied',
    source: POST,
    run: async (s3) => {
      const answer = submit(s3, await policyFor(s3), 'x', { 'x-amz-meta-smuggled': '1' });
      await refusesForm(s3, answer, 403, 'AccessDenied');
    },
  },
  {
    id: 'presigned.post-ignored-field',
    title: 'fields that begin with x-ignore- need no condition',
    source: POST,
    run: async (s3) => {
      const answer = await submit(s3, await policyFor(s3), 'x', { 'x-ignore-button': 'send' });
      same([answer.status, answer.code], [204, ''], 'status and code');
    },
  },
  {
    id: 'presigned.post-missing-field',
    title: 'a form that lacks a field of the policy is AccessDenied',
    source: POST,
    run: async (s3) => {
      const post = await policyFor(s3, { Conditions: [['eq', '$x-amz-meta-job', '42']] });
      await refusesForm(s3, submit(s3, post, 'x'), 403, 'AccessDenied');
    },
  },
  {
    id: 'presigned.post-expired',
    title: 'a policy past its end is AccessDenied',
    source: POST,
    run: async (s3) => {
      const answer = submit(s3, await policyFor(s3, { Expires: -60 }), 'x');
      await refusesForm(s3, answer, 403, 'AccessDenied');
    },
  },
  {
    id: 'presigned.post-tampered',
    title: 'a policy that its signature was not made for is SignatureDoesNotMatch',
    source: POST,
    run: async (s3) => {
      const post = await policyFor(s3, { Conditions: [['content-length-range', 0, 7]] });
      const policy = Buffer.from(post.fields.Policy ?? '', 'base64')
        .toString()
        .replace(',7]', ',700]');
      const answer = submit(s3, post, 'too long', { Policy: Buffer.from(policy).toString('base64') });
      await refusesForm(s3, answer, 403, 'SignatureDoesNotMatch');
    },
  },
  {
    id: 'presigned.post-refused-large',
    title: 'a refused form with a file of 8 MiB is answered, not reset',
    source: POST,
    run: async (s3) => {
      const answer = submit(s3, await policyFor(s3, { Expires: -60 }), 'x'.repeat(8 * 1024 ** 2));
      await refusesForm(s3, answer, 403, 'AccessDenied');
    },
  },
  {
    id: 'presigned.post-unsigned',
    title: 'a form without policy and signature is AccessDenied',
    source: POST_OBJECT,
    run: async (s3) => {
      const { url, fields } = await policyFor(s3);
      const answer = submit(s3, { url, fields: { key: fields.key ?? '' } }, 'x');
      await refusesForm(s3, answer, 403, 'AccessDenied');
    },
  },
  {
    id: 'presigned.post-201',
    title: 'success_action_status 201 answers with an XML of bucket, key and ETag',
    source: POST_OBJECT,
    run: async (s3) => {
      const post = await policyFor(s3, { Fields: { success_action_status: '201' } });
      const answer = await submit(s3, post, 'content');
      const text = answer.body.toString();
      const of = (name: string): string | undefined => new RegExp(`<${name}>(.*?)</${name}>`).exec(text)?.[1];
      same([answer.status, of('Bucket'), of('Key')], [201, s3.bucket, s3.key('object')], 'status, bucket, key');
      same(of('ETag')?.replaceAll('&quot;', '"').replaceAll('&#34;', '"'), (await s3.head('object')).ETag, 'ETag');
    },
  },
  {
    id: 'presigned.post-redirect',
    title: 'success_action_redirect answers 303 with bucket, key and ETag in the Location',
    source: POST_OBJECT,
    run: async (s3) => {
      const post = await policyFor(s3, { Fields: { success_action_redirect: 'https://app.example.com/done' } });
      const answer = await submit(s3, post, 'content');
      same(answer.status, 303, 'status');
      const location = new URL(answer.headers.get('location') ?? '', 'https://none.invalid');
      const got = [location.origin + location.pathname, location.searchParams.get('key')];
      same(got, ['https://app.example.com/done', s3.key('object')], 'Location');
    },
  },
  {
    id: 'presigned.post-file-name',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: S3's own variable.
    title: '${filename} in the key becomes the name of the file',
    source: POST_OBJECT,
    run: async (s3) => {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: S3's own variable.
      const answer = await submit(s3, await policyFor(s3, { name: 'up/${filename}' }), 'content');
      same([answer.status, answer.code], [204, ''], 'status and code');
      same(await s3.text('up/from disk.txt'), 'content', 'content');
    },
  },
  {
    id: 'presigned.post-wrong-secret',
    title: 'a policy signed with another secret is SignatureDoesNotMatch',
    source: POST,
    run: async (s3) => {
      const post = await policyFor(s3);
      const forged = createHmac('sha256', 'another key')
        .update(post.fields.Policy ?? '')
        .digest('hex');
      const answer = submit(s3, post, 'x', { 'X-Amz-Signature': forged });
      await refusesForm(s3, answer, 403, 'SignatureDoesNotMatch');
    },
  },
]);
