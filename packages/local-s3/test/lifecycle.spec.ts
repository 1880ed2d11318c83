import {
  CreateMultipartUploadCommand,
  type LifecycleRule,
  ListPartsCommand,
  PutBucketLifecycleConfigurationCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { abortOf, DAY_MS, expiryOf, parseLifecycleRules } from '../src/lifecycle-rules.js';
import { BUCKET, refusalOf, startTestServer, type TestServer } from './support/server.js';

const rule = (content: string): string =>
  `<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>${content}</Rule></LifecycleConfiguration>`;
const ABORT =
  '<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>';

describe('lifecycle rules', () => {
  it('end an upload at the next midnight after their days', () => {
    const rules = parseLifecycleRules(rule(`<Filter><Prefix>in/</Prefix></Filter>${ABORT}`));
    const initiated = Date.parse('2026-11-24T10:00:00Z');
    expect(abortOf(rules, 'in/a', initiated, DAY_MS)?.at).toBe(Date.parse('2026-12-02T00:00:00Z'));
    expect(abortOf(rules, 'out/a', initiated, DAY_MS)).toBeUndefined();
    expect(expiryOf(rules, 'in/a', initiated, DAY_MS)).toBeUndefined();
  });

  it('take a prefix of the rule itself, and the earliest of several dates', () => {
    const days = (count: number): string => ABORT.replace('7', String(count));
    const xml = `<LifecycleConfiguration><Rule><Status>Enabled</Status><Prefix>in/</Prefix>${days(3)}</Rule><Rule><Status>Enabled</Status><Filter/>${days(2)}</Rule><Rule><Status>Disabled</Status><Filter/>${days(1)}</Rule></LifecycleConfiguration>`;
    const at = (key: string) => abortOf(parseLifecycleRules(xml), key, 0, DAY_MS)?.at;
    expect([at('in/a'), at('out/a')]).toEqual([2 * DAY_MS, 2 * DAY_MS]);
  });

  it.each([
    [
      '<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>',
      'NotImplemented',
    ],
    ['<Filter/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>', 'NotImplemented'],
    ['<Filter/><Expiration><Date>2026-01-01T00:00:00Z</Date></Expiration>', 'NotImplemented'],
    ['<Filter/>', 'InvalidRequest'],
    ['<Filter/><Expiration><Days>0</Days></Expiration>', 'InvalidArgument'],
    ['<Filter/><Expiration><Days>soon</Days></Expiration>', 'MalformedXML'],
    ['<Filter/><Expiration/>', 'MalformedXML'],
  ])('refuse %s as %s', (content, code) => {
    expect(() => parseLifecycleRules(rule(content))).toThrow(expect.objectContaining({ code }));
  });
});

describe('a bucket with an abort rule', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.stop());

  it('names the date and the rule on Create and on ListParts', async () => {
    const Rules: LifecycleRule[] = [
      {
        ID: 'stale',
        Status: 'Enabled',
        Filter: { Prefix: '' },
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
      },
    ];
    const at = { Bucket: BUCKET, Key: 'key' };
    await server.client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: BUCKET, LifecycleConfiguration: { Rules } }),
    );
    const created = await server.client.send(new CreateMultipartUploadCommand(at));
    const listed = await server.client.send(new ListPartsCommand({ ...at, UploadId: created.UploadId }));
    expect([created.AbortRuleId, listed.AbortRuleId]).toEqual(['stale', 'stale']);
    expect((created.AbortDate?.getTime() ?? 1) % DAY_MS).toBe(0);
    expect(listed.AbortDate).toEqual(created.AbortDate);
  });

  it('refuses a rule that it would not act on, and keeps those it has', async () => {
    const Rules: LifecycleRule[] = [
      { ID: 'move', Status: 'Enabled', Filter: { Prefix: '' }, Transitions: [{ Days: 1, StorageClass: 'GLACIER' }] },
    ];
    const call = server.client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: BUCKET, LifecycleConfiguration: { Rules } }),
    );
    expect(await refusalOf(call)).toEqual({ name: 'NotImplemented', status: 501 });
    const created = await server.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: 'other' }));
    expect(created.AbortRuleId).toBe('stale');
  });
});
