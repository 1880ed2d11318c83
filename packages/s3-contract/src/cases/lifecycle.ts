import {
  CreateMultipartUploadCommand,
  GetBucketLifecycleConfigurationCommand,
  type LifecycleRule,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { sendContentMd5 } from '../content-md5.js';
import { api, type ContractCase, guide, inArea, type Need } from '../contract.js';
import { must, refused, same } from '../expectations.js';
import { UploadUnderTest } from '../upload-under-test.js';

const PUT = api('API_PutBucketLifecycleConfiguration');
const ABORT_RULE = guide('mpu-abort-incomplete-mpu-lifecycle-config');
const ELEMENTS = guide('intro-lifecycle-rules');
/** Servers look at their rules in rounds: this many days, and a margin for a busy machine. */
const ROUNDS_WAITED = 8;
const MARGIN_MS = 10_000;
const POLL_MS = 50;

const abortRule = (days: number, prefix = ''): LifecycleRule => ({
  ID: `abort-${prefix}`,
  Status: 'Enabled',
  Filter: { Prefix: prefix },
  AbortIncompleteMultipartUpload: { DaysAfterInitiation: days },
});

function setRules(s3: CaseContext, Bucket: string, Rules: readonly LifecycleRule[]) {
  const client = sendContentMd5(s3.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' }));
  const LifecycleConfiguration = { Rules: [...Rules] };
  return client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
}

async function rulesOf(s3: CaseContext, Bucket: string): Promise<LifecycleRule[]> {
  return (await s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).Rules ?? [];
}

async function openUploads(s3: CaseContext, Bucket: string): Promise<string[]> {
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
  return Uploads.map(({ Key = '' }) => Key).sort();
}

async function objects(s3: CaseContext, Bucket: string): Promise<string[]> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  return Contents.map(({ Key = '' }) => Key).sort();
}

/** Asks until the rule has acted. */
async function becomes(
  s3: CaseContext,
  look: () => Promise<string[]>,
  wanted: readonly string[],
  what: string,
): Promise<void> {
  const deadline = Date.now() + ROUNDS_WAITED * (s3.store.lifecycleDayMs ?? 0) + MARGIN_MS;
  for (;;) {
    const seen = await look();
    if (seen.join() === wanted.join()) return;
    must(
      Date.now() < deadline,
      `${what} stayed: ${seen.join(', ') || 'nothing'}, not ${wanted.join(', ') || 'nothing'}`,
    );
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function onBucket(
  id: string,
  title: string,
  run: (bucket: string, s3: CaseContext) => Promise<void>,
  { source = PUT, needs = [] }: { source?: string; needs?: readonly Need[] } = {},
): Omit<ContractCase, 'area'> {
  return {
    id: `lifecycle.${id}`,
    title,
    source,
    // Rules of the bucket that is judged might be in use, so these cases make one.
    needs: ['buckets', ...needs],
    run: async (s3) => run(await s3.newBucket(), s3),
  };
}

const ACTS = { needs: ['lifecycle-day'] as const };

export const LIFECYCLE_CASES = inArea('lifecycle', [
  onBucket('put-get', 'GetBucketLifecycleConfiguration gives back the rule that aborts uploads', async (bucket, s3) => {
    await setRules(s3, bucket, [abortRule(7, 'in/')]);
    const [rule, ...more] = await rulesOf(s3, bucket);
    const got = [
      rule?.ID,
      rule?.Status,
      rule?.Filter?.Prefix,
      rule?.AbortIncompleteMultipartUpload?.DaysAfterInitiation,
    ];
    same([...got, more.length], ['abort-in/', 'Enabled', 'in/', 7, 0], 'rule');
  }),
  onBucket('replaced', 'PutBucketLifecycleConfiguration replaces all rules', async (bucket, s3) => {
    await setRules(s3, bucket, [abortRule(7, 'a'), abortRule(7, 'b')]);
    await setRules(s3, bucket, [abortRule(3, 'c')]);
    same(
      (await rulesOf(s3, bucket)).map(({ ID }) => ID),
      ['abort-c'],
      'rules',
    );
  }),
  onBucket(
    'none',
    'a bucket without rules is NoSuchLifecycleConfiguration',
    (bucket, s3) => refused(rulesOf(s3, bucket), 404, 'NoSuchLifecycleConfiguration'),
    { source: api('API_GetBucketLifecycleConfiguration') },
  ),
  onBucket('same-id', 'two rules of one ID are refused', async (bucket, s3) => {
    await refused(setRules(s3, bucket, [abortRule(7), abortRule(8)]), 400, 'InvalidArgument', 'InvalidRequest');
  }),
  onBucket(
    'status',
    'a Status other than Enabled and Disabled is MalformedXML',
    async (bucket, s3) => {
      const rule = { ...abortRule(7), Status: 'On' as 'Enabled' };
      await refused(setRules(s3, bucket, [rule]), 400, 'MalformedXML');
    },
    { source: ELEMENTS },
  ),
  onBucket('no-days', 'zero days are InvalidArgument', async (bucket, s3) => {
    await refused(setRules(s3, bucket, [abortRule(0)]), 400, 'InvalidArgument');
  }),
  onBucket(
    'abort-date',
    'Create answers with the day of the abort and the rule that says so',
    async (bucket, s3) => {
      await setRules(s3, bucket, [abortRule(7)]);
      const at = { Bucket: bucket, Key: 'object' };
      const { AbortDate, AbortRuleId } = await s3.send(new CreateMultipartUploadCommand(at));
      same(AbortRuleId, 'abort-', 'AbortRuleId');
      const days = ((AbortDate?.getTime() ?? 0) - Date.now()) / 86_400_000;
      // The next midnight after seven days.
      must(s3.store.lifecycleDayMs !== undefined || (days > 6.9 && days <= 8), `AbortDate is ${days} days away`);
    },
    { source: api('API_CreateMultipartUpload') },
  ),
  onBucket(
    'aborts',
    'an enabled rule aborts uploads below its prefix, and leaves others and objects',
    async (bucket, s3) => {
      const start = (Key: string) => UploadUnderTest.create(s3.client, { Bucket: bucket, Key }, {});
      const stale = await start('in/stale');
      await stale.part(1, 'content');
      await start('out/kept');
      await s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'in/object', Body: 'content' }));
      await setRules(s3, bucket, [abortRule(1, 'in/')]);
      await becomes(s3, () => openUploads(s3, bucket), ['out/kept'], 'uploads');
      await refused(stale.list(), 404, 'NoSuchUpload');
      same(await objects(s3, bucket), ['in/object'], 'objects');
    },
    { ...ACTS, source: ABORT_RULE },
  ),
  onBucket(
    'disabled',
    'a disabled rule aborts nothing',
    async (bucket, s3) => {
      const start = (Key: string) => UploadUnderTest.create(s3.client, { Bucket: bucket, Key }, {});
      await start('kept/1');
      await start('stale/1');
      await setRules(s3, bucket, [{ ...abortRule(1, 'kept/'), Status: 'Disabled' }, abortRule(1, 'stale/')]);
      // When the other rule has acted, this one would have as well.
      await becomes(s3, () => openUploads(s3, bucket), ['kept/1'], 'uploads');
    },
    { ...ACTS, source: ELEMENTS },
  ),
  onBucket(
    'expires',
    'a rule with Expiration removes objects below its prefix, and leaves others',
    async (bucket, s3) => {
      for (const Key of ['in/old', 'out/kept']) {
        await s3.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'content' }));
      }
      const rule: LifecycleRule = {
        ID: 'expire',
        Status: 'Enabled',
        Filter: { Prefix: 'in/' },
        Expiration: { Days: 1 },
      };
      await setRules(s3, bucket, [rule]);
      await becomes(s3, () => objects(s3, bucket), ['out/kept'], 'objects');
    },
    { ...ACTS, source: ELEMENTS },
  ),
]);
