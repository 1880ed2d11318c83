import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { api, type ContractCase, ERROR_LIST, inArea, MEASURED } from '../contract.js';
import { must, refused, refusedAnswer, same } from '../expectations.js';
import { amzTimestamp } from '../wire/signature-v4.js';

const HEADER_AUTH = api('sig-v4-header-based-auth');
const MINUTE_MS = 60_000;

function skewed(id: string, minutes: number, outcome: 'accepted' | 'refused'): Omit<ContractCase, 'area'> {
  const way = minutes > 0 ? 'fast' : 'slow';
  return {
    id: `clock.${id}`,
    title: `a clock ${Math.abs(minutes)} minutes ${way} is ${outcome === 'accepted' ? 'accepted' : 'RequestTimeTooSkewed'}`,
    source: outcome === 'accepted' ? HEADER_AUTH : ERROR_LIST,
    run: async (s3) => {
      await s3.put('object', 'content');
      const time = new Date(Date.now() + minutes * MINUTE_MS);
      const answer = await s3.raw({ method: 'GET', name: 'object', time });
      if (outcome === 'accepted') same(answer.status, 200, `status (${answer.code})`);
      else refusedAnswer(answer, 403, 'RequestTimeTooSkewed');
    },
  };
}

/** A client whose clock is off: its first call is refused, and teaches it the server's clock. */
async function listTwiceWithSkew(s3: CaseContext, systemClockOffset: number): Promise<void> {
  const client = s3.newClient({ systemClockOffset });
  const list = () => client.send(new ListObjectsV2Command({ Bucket: s3.bucket, Prefix: s3.prefix }));
  await refused(list(), 403, 'RequestTimeTooSkewed');
  same((await list()).$metadata.httpStatusCode, 200, 'status of the second call');
}

export const CLOCK_CASES = inArea('clock', [
  skewed('10-minutes-fast', 10, 'accepted'),
  skewed('10-minutes-slow', -10, 'accepted'),
  skewed('1-hour-fast', 60, 'refused'),
  skewed('1-hour-slow', -60, 'refused'),
  {
    id: 'clock.sdk-corrects-itself',
    title: 'the SDK learns the clock of the server from a RequestTimeTooSkewed, and its next call succeeds',
    source: MEASURED,
    run: async (s3) => {
      await listTwiceWithSkew(s3, 60 * MINUTE_MS);
      await listTwiceWithSkew(s3, -60 * MINUTE_MS);
    },
  },
  {
    id: 'clock.date-header',
    title: 'answers carry a Date, refusals too',
    source: api('RESTCommonResponseHeaders'),
    run: async (s3) => {
      const time = new Date(Date.now() - 60 * MINUTE_MS);
      for (const answer of [await s3.raw({ method: 'GET', name: 'never' }), await s3.raw({ method: 'GET', time })]) {
        const off = Math.abs(Date.parse(answer.headers.date ?? '') - Date.now());
        must(off < MINUTE_MS, `Date of the ${answer.status} is ${answer.headers.date}`);
      }
    },
  },
  {
    id: 'clock.no-date',
    title: 'a signed request without a date is AccessDenied',
    source: HEADER_AUTH,
    run: async (s3) => {
      const { head } = s3.signedHead({ method: 'GET', name: 'object' });
      refusedAnswer(await s3.rawBytes(head.replace(/x-amz-date: [^\r]*\r\n/, '')), 403, 'AccessDenied');
    },
  },
  {
    id: 'clock.other-day',
    title: 'a signature whose scope is of another day than its date is refused',
    source: HEADER_AUTH,
    run: async (s3) => {
      const time = new Date(Date.now() - 24 * 60 * MINUTE_MS);
      const { head } = s3.signedHead({ method: 'GET', name: 'object', time });
      const now = head.replace(/x-amz-date: [^\r]*/, `x-amz-date: ${amzTimestamp(new Date())}`);
      const { status, code } = await s3.rawBytes(now);
      must(status === 400 || status === 403, `${status} ${code}`);
    },
  },
]);
