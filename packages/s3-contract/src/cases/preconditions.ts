import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { api, type ContractCase, guide, inArea } from '../contract.js';
import { must, refusalOf, refused, refusedAnswer, same } from '../expectations.js';

const GET = api('API_GetObject');
const HEAD = api('API_HeadObject');
const WRITES = guide('conditional-writes');
const DELETES = guide('conditional-deletes');
const PAST = new Date('2020-01-01T00:00:00Z');
const FUTURE_MS = 24 * 60 * 60 * 1000;
const OTHER = '"00000000000000000000000000000000"';

type Conditions = (object: { etag: string; modified: string }) => Record<string, string>;

function reads(
  id: string,
  conditions: Conditions,
  status: 200 | 304 | 412,
  title: string,
): Omit<ContractCase, 'area'>[] {
  return (['GET', 'HEAD'] as const).map((method) => ({
    id: `pre.${method.toLowerCase()}-${id}`,
    title: `${method} ${title}: ${status}`,
    source: method === 'GET' ? GET : HEAD,
    run: async (s3: CaseContext) => {
      const { ETag: etag = '' } = await s3.put('object', 'content');
      const modified = (await s3.head('object')).LastModified?.toUTCString() ?? '';
      const answer = await s3.raw({ method, name: 'object', headers: conditions({ etag, modified }) });
      same(answer.status, status, 'status');
      if (method === 'GET') same(answer.body.toString() === 'content', status === 200, 'content sent');
    },
  }));
}

const past = (): string => PAST.toUTCString();
const future = (): string => new Date(Date.now() + FUTURE_MS).toUTCString();

export const PRECONDITION_CASES = inArea('preconditions', [
  ...reads('if-match', ({ etag }) => ({ 'if-match': etag }), 200, 'If-Match with its ETag'),
  ...reads('if-match-other', () => ({ 'if-match': OTHER }), 412, 'If-Match with another ETag'),
  ...reads('if-none-match', ({ etag }) => ({ 'if-none-match': etag }), 304, 'If-None-Match with its ETag'),
  ...reads('if-none-match-other', () => ({ 'if-none-match': OTHER }), 200, 'If-None-Match with another ETag'),
  ...reads('modified-since', () => ({ 'if-modified-since': past() }), 200, 'If-Modified-Since long ago'),
  ...reads(
    'not-modified-since',
    ({ modified }) => ({ 'if-modified-since': modified }),
    304,
    'If-Modified-Since its Last-Modified',
  ),
  ...reads('unmodified-since', () => ({ 'if-unmodified-since': future() }), 200, 'If-Unmodified-Since tomorrow'),
  ...reads('unmodified-since-past', () => ({ 'if-unmodified-since': past() }), 412, 'If-Unmodified-Since long ago'),
  ...reads(
    'match-beats-unmodified',
    ({ etag }) => ({ 'if-match': etag, 'if-unmodified-since': past() }),
    200,
    'If-Match that holds beside If-Unmodified-Since that does not',
  ),
  ...reads(
    'none-match-beats-modified',
    ({ etag }) => ({ 'if-none-match': etag, 'if-modified-since': past() }),
    304,
    'If-None-Match that fails beside If-Modified-Since that holds',
  ),
  {
    id: 'pre.304-has-etag',
    title: 'a 304 carries the ETag and no body',
    source: 'https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5 and measured: swift-2.30',
    run: async (s3) => {
      const { ETag = '' } = await s3.put('object', 'content');
      const connection = await s3.connect();
      await connection.write(s3.signedHead({ method: 'GET', name: 'object', headers: { 'if-none-match': ETag } }).head);
      const first = await connection.answer('GET');
      same([first.status, first.headers.etag], [304, ETag], 'status and ETag');
      await connection.write(s3.signedHead({ method: 'GET', name: 'object' }).head);
      same((await connection.answer('GET')).body.toString(), 'content', 'next answer on the connection');
    },
  },
  {
    id: 'pre.put-none-match',
    title: 'PutObject with If-None-Match: * on an existing key is 412, and the object stays',
    source: WRITES,
    run: async (s3) => {
      await s3.put('object', 'old');
      await refused(s3.put('object', 'new', { IfNoneMatch: '*' }), 412, 'PreconditionFailed');
      same(await s3.text('object'), 'old', 'content');
    },
  },
  {
    id: 'pre.put-none-match-free',
    title: 'PutObject with If-None-Match: * on a free key writes, also after a delete',
    source: WRITES,
    run: async (s3) => {
      await s3.put('object', 'first', { IfNoneMatch: '*' });
      await s3.send(new DeleteObjectCommand(s3.at('object')));
      await s3.put('object', 'second', { IfNoneMatch: '*' });
      same(await s3.text('object'), 'second', 'content');
    },
  },
  {
    id: 'pre.put-none-match-race',
    title: 'of eight PutObjects with If-None-Match: * at once exactly one writes',
    source: WRITES,
    run: async (s3) => {
      const names = Array.from({ length: 8 }, (_, index) => `writer ${index}`);
      const won = await Promise.all(
        names.map(async (name) => {
          try {
            await s3.put('object', name, { IfNoneMatch: '*' });
            return name;
          } catch (error) {
            const { status } = refusalOf(error);
            must(status === 412 || status === 409, `a loser got ${status}`);
            return undefined;
          }
        }),
      );
      const winners = won.filter((name) => name !== undefined);
      same(winners.length, 1, 'writers told that they wrote');
      same(await s3.text('object'), winners[0], 'content');
    },
  },
  {
    id: 'pre.put-match',
    title: 'PutObject with If-Match and the right ETag writes',
    source: WRITES,
    run: async (s3) => {
      const { ETag } = await s3.put('object', 'old');
      await s3.put('object', 'new', { IfMatch: ETag });
      same(await s3.text('object'), 'new', 'content');
    },
  },
  {
    id: 'pre.put-match-other',
    title: 'PutObject with If-Match and another ETag is 412, and the object stays',
    source: WRITES,
    run: async (s3) => {
      await s3.put('object', 'old');
      await refused(s3.put('object', 'new', { IfMatch: OTHER }), 412, 'PreconditionFailed');
      same(await s3.text('object'), 'old', 'content');
    },
  },
  {
    id: 'pre.put-match-missing',
    title: 'PutObject with If-Match on a free key is 404 NoSuchKey',
    source: WRITES,
    run: async (s3) => {
      await refused(s3.put('object', 'new', { IfMatch: OTHER }), 404, 'NoSuchKey');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'pre.complete-none-match',
    title: 'Complete with If-None-Match: * on an existing key is 412, and the object stays',
    source: WRITES,
    run: async (s3) => {
      await s3.put('object', 'old');
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, 'new')];
      await refused(upload.complete(parts, { IfNoneMatch: '*' }), 412, 'PreconditionFailed');
      same(await s3.text('object'), 'old', 'content');
    },
  },
  {
    id: 'pre.complete-none-match-free',
    title: 'Complete with If-None-Match: * on a free key writes',
    source: WRITES,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(1, 'new')], { IfNoneMatch: '*' });
      same(await s3.text('object'), 'new', 'content');
    },
  },
  {
    id: 'pre.complete-match-other',
    title: 'Complete with If-Match and another ETag is 412, and the object stays',
    source: WRITES,
    run: async (s3) => {
      await s3.put('object', 'old');
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, 'new')];
      await refused(upload.complete(parts, { IfMatch: OTHER }), 412, 'PreconditionFailed');
      same(await s3.text('object'), 'old', 'content');
    },
  },
  {
    id: 'pre.delete-match-other',
    title: 'DeleteObject with If-Match and another ETag is 412, and the object stays',
    source: DELETES,
    run: async (s3) => {
      const { ETag } = await s3.put('object', 'content');
      await refused(
        s3.send(new DeleteObjectCommand({ ...s3.at('object'), IfMatch: OTHER })),
        412,
        'PreconditionFailed',
      );
      same(await s3.text('object'), 'content', 'content');
      await s3.send(new DeleteObjectCommand({ ...s3.at('object'), IfMatch: ETag }));
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'pre.412-body',
    title: 'a 412 on GET names PreconditionFailed in its body',
    source: api('ErrorResponses'),
    run: async (s3) => {
      await s3.put('object', 'content');
      const answer = await s3.raw({ method: 'GET', name: 'object', headers: { 'if-match': OTHER } });
      refusedAnswer(answer, 412, 'PreconditionFailed');
    },
  },
]);
