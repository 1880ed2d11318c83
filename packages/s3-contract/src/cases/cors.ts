import {
  type CORSRule,
  GetBucketCorsCommand,
  GetObjectCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { CaseContext, FetchedAnswer } from '../case-context.js';
import { sendContentMd5 } from '../content-md5.js';
import { api, type ContractCase, guide, inArea } from '../contract.js';
import { must, refused, same } from '../expectations.js';

const CORS = guide('cors');
const HOW = guide('ManageCorsUsing');
const PREFLIGHT = api('RESTOPTIONSobject');
const APP = 'https://app.example.com';

const RULE: CORSRule = {
  AllowedOrigins: [APP],
  AllowedMethods: ['GET', 'PUT', 'HEAD'],
  AllowedHeaders: ['content-type', 'x-amz-*'],
  ExposeHeaders: ['ETag'],
  MaxAgeSeconds: 600,
};

/** A bucket with these rules; preflights and requests to an object in it. */
class CorsBucket {
  private constructor(
    private readonly s3: CaseContext,
    readonly name: string,
  ) {}

  static async create(s3: CaseContext, rules: readonly CORSRule[] = []): Promise<CorsBucket> {
    const bucket = new CorsBucket(s3, await s3.newBucket());
    if (rules.length > 0) await bucket.setRules(rules);
    return bucket;
  }

  setRules(rules: readonly CORSRule[]) {
    const client = sendContentMd5(this.s3.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' }));
    return client.send(new PutBucketCorsCommand({ Bucket: this.name, CORSConfiguration: { CORSRules: [...rules] } }));
  }

  preflight(origin: string, method: string, headers = ''): Promise<FetchedAnswer> {
    return this.s3.fetch(`${this.s3.store.endpoint}/${this.name}/object`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': method,
        ...(headers === '' ? {} : { 'access-control-request-headers': headers }),
      },
    });
  }

  async get(origin: string): Promise<FetchedAnswer> {
    await this.s3.send(new PutObjectCommand({ Bucket: this.name, Key: 'object', Body: 'content' }));
    return this.s3.fetch(await this.urlOf('get'), { headers: { origin } });
  }

  urlOf(method: 'get' | 'put'): Promise<string> {
    const at = { Bucket: this.name, Key: 'object' };
    return this.s3.presign(method === 'get' ? new GetObjectCommand(at) : new PutObjectCommand(at));
  }
}

const ALLOW_ORIGIN = 'access-control-allow-origin';

function onBucket(
  id: string,
  title: string,
  rules: readonly CORSRule[],
  run: (bucket: CorsBucket, s3: CaseContext) => Promise<void>,
  source = PREFLIGHT,
): Omit<ContractCase, 'area'> {
  return {
    id: `cors.${id}`,
    title,
    source,
    // Rules of the bucket that is judged might be in use, so these cases make one.
    needs: ['buckets'],
    run: async (s3) => run(await CorsBucket.create(s3, rules), s3),
  };
}

function refusedPreflight(answer: FetchedAnswer): void {
  same([answer.status, answer.headers.get(ALLOW_ORIGIN)], [403, null], 'status and Access-Control-Allow-Origin');
}

export const CORS_CASES = inArea('cors', [
  onBucket(
    'put-get',
    'GetBucketCors gives back the rules of PutBucketCors',
    [RULE],
    async (bucket, s3) => {
      const { CORSRules } = await s3.send(new GetBucketCorsCommand({ Bucket: bucket.name }));
      const lower = (rule: CORSRule = {} as CORSRule) => ({
        ...rule,
        AllowedMethods: [...(rule.AllowedMethods ?? [])].sort(),
        AllowedHeaders: [...(rule.AllowedHeaders ?? [])].sort(),
        ID: undefined,
      });
      same([CORSRules?.length, lower(CORSRules?.[0])], [1, lower(RULE)], 'rules');
    },
    HOW,
  ),
  onBucket(
    'none',
    'GetBucketCors of a bucket without rules is NoSuchCORSConfiguration',
    [],
    (bucket, s3) => refused(s3.send(new GetBucketCorsCommand({ Bucket: bucket.name })), 404, 'NoSuchCORSConfiguration'),
    api('API_GetBucketCors'),
  ),
  onBucket(
    'preflight',
    'a preflight that a rule allows is answered with origin, method, headers and age',
    [RULE],
    async (bucket) => {
      const answer = await bucket.preflight(APP, 'PUT', 'content-type');
      same([answer.status, answer.headers.get(ALLOW_ORIGIN)], [200, APP], 'status and origin');
      must(/\bPUT\b/.test(answer.headers.get('access-control-allow-methods') ?? ''), 'PUT is not among the methods');
      const headers = answer.headers.get('access-control-allow-headers')?.toLowerCase() ?? '';
      must(headers.includes('content-type'), 'content-type is not among the headers');
      same(answer.headers.get('access-control-max-age'), '600', 'Access-Control-Max-Age');
    },
  ),
  onBucket('no-rules', 'a preflight on a bucket without rules is 403', [], async (bucket) => {
    refusedPreflight(await bucket.preflight(APP, 'PUT'));
  }),
  onBucket('other-origin', 'a preflight from another origin is 403', [RULE], async (bucket) => {
    refusedPreflight(await bucket.preflight('https://evil.example.com', 'PUT'));
    refusedPreflight(await bucket.preflight(`${APP}.evil.example`, 'PUT'));
    refusedPreflight(await bucket.preflight(APP.replace('https', 'http'), 'PUT'));
  }),
  onBucket('other-method', 'a preflight for a method that no rule names is 403', [RULE], async (bucket) => {
    refusedPreflight(await bucket.preflight(APP, 'DELETE'));
  }),
  onBucket('other-header', 'a preflight for a header that no rule names is 403', [RULE], async (bucket) => {
    refusedPreflight(await bucket.preflight(APP, 'PUT', 'content-type, x-secret'));
  }),
  onBucket(
    'header-wildcard',
    'a * in a header of a rule stands for any characters, whatever their case',
    [RULE],
    async (bucket) => {
      const answer = await bucket.preflight(APP, 'PUT', 'X-Amz-Meta-Job');
      same([answer.status, answer.headers.get(ALLOW_ORIGIN)], [200, APP], 'status and origin');
    },
  ),
  onBucket(
    'any-origin',
    'the origin * allows every origin',
    [{ AllowedOrigins: ['*'], AllowedMethods: ['GET'] }],
    async (bucket) => {
      const answer = await bucket.preflight(APP, 'GET');
      same(answer.status, 200, 'status');
      must(['*', APP].includes(answer.headers.get(ALLOW_ORIGIN) ?? ''), `origin ${answer.headers.get(ALLOW_ORIGIN)}`);
    },
  ),
  onBucket(
    'origin-wildcard',
    'a * in an origin stands for any characters',
    [{ AllowedOrigins: ['https://*.example.com'], AllowedMethods: ['GET'] }],
    async (bucket) => {
      const answer = await bucket.preflight(APP, 'GET');
      same([answer.status, answer.headers.get(ALLOW_ORIGIN)], [200, APP], 'status and origin');
      refusedPreflight(await bucket.preflight('https://example.org', 'GET'));
    },
    HOW,
  ),
  onBucket(
    'second-rule',
    'a later rule serves when the first does not fit',
    [{ AllowedOrigins: ['https://other.example.com'], AllowedMethods: ['PUT'] }, RULE],
    async (bucket) => {
      const answer = await bucket.preflight(APP, 'PUT');
      same([answer.status, answer.headers.get(ALLOW_ORIGIN)], [200, APP], 'status and origin');
    },
    HOW,
  ),
  onBucket(
    'get',
    'the answer to a GET carries origin and exposed headers',
    [RULE],
    async (bucket) => {
      const { status, headers, body } = await bucket.get(APP);
      same([status, body.toString()], [200, 'content'], 'status and content');
      same(headers.get(ALLOW_ORIGIN), APP, 'Access-Control-Allow-Origin');
      same(headers.get('access-control-expose-headers')?.toLowerCase(), 'etag', 'Access-Control-Expose-Headers');
    },
    CORS,
  ),
  onBucket(
    'vary',
    'answers that depend on the origin say Vary: Origin',
    [RULE],
    async (bucket) => {
      const vary = (await bucket.get(APP)).headers.get('vary') ?? '';
      must(/\borigin\b/i.test(vary), `Vary is ${vary || 'missing'}`);
    },
    'https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches and measured: ceph-16.2',
  ),
  onBucket(
    'get-other-origin',
    'a GET from another origin is served, but without CORS headers',
    [RULE],
    async (bucket) => {
      const { status, headers } = await bucket.get('https://evil.example.com');
      same([status, headers.get(ALLOW_ORIGIN)], [200, null], 'status and Access-Control-Allow-Origin');
    },
    CORS,
  ),
  onBucket(
    'put',
    'a presigned PUT from the origin is answered with CORS headers and the ETag exposed',
    [RULE],
    async (bucket, s3) => {
      const init = { method: 'PUT', body: 'content', headers: { origin: APP } };
      const { status, headers } = await s3.fetch(await bucket.urlOf('put'), init);
      same([status, headers.get(ALLOW_ORIGIN)], [200, APP], 'status and Access-Control-Allow-Origin');
      must((headers.get('etag') ?? '') !== '', 'no ETag');
      same(headers.get('access-control-expose-headers')?.toLowerCase(), 'etag', 'Access-Control-Expose-Headers');
    },
    CORS,
  ),
  onBucket(
    'replaced',
    'PutBucketCors replaces all rules',
    [RULE],
    async (bucket) => {
      await bucket.setRules([{ AllowedOrigins: ['https://new.example.com'], AllowedMethods: ['GET'] }]);
      refusedPreflight(await bucket.preflight(APP, 'PUT'));
      same((await bucket.preflight('https://new.example.com', 'GET')).status, 200, 'status of the new origin');
    },
    api('API_PutBucketCors'),
  ),
  onBucket(
    'two-wildcards',
    'a rule with two * in an origin is refused',
    [],
    async (bucket) => {
      await refused(bucket.setRules([{ AllowedOrigins: ['https://*.*.com'], AllowedMethods: ['GET'] }]), 400);
    },
    HOW,
  ),
  onBucket(
    'unknown-method',
    'a rule with a method other than GET, PUT, POST, DELETE, HEAD is refused',
    [],
    async (bucket) => {
      await refused(bucket.setRules([{ AllowedOrigins: ['*'], AllowedMethods: ['PATCH'] }]), 400);
    },
    HOW,
  ),
]);
