import { HeadObjectCommand } from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { api, type ContractCase, inArea, MEASURED } from '../contract.js';
import { must, refused, refusedAnswer, same } from '../expectations.js';
import { fullPart, MIN_PART_BYTES } from '../upload-under-test.js';

const GET = api('API_GetObject');
const HEAD = api('API_HeadObject');
const TEXT = '0123456789';

function served(id: string, Range: string, expected: string, title: string, source = GET): Omit<ContractCase, 'area'> {
  return {
    id: `ranges.${id}`,
    title: `Range: ${Range} gives ${title}`,
    source,
    run: async (s3) => {
      await s3.put('object', TEXT);
      const got = await s3.read('object', { Range });
      const start = TEXT.indexOf(expected);
      const ContentRange = `bytes ${start}-${start + expected.length - 1}/${TEXT.length}`;
      same([got.$metadata.httpStatusCode, got.bytes.toString()], [206, expected], 'status and content');
      same([got.ContentRange, got.ContentLength], [ContentRange, expected.length], 'Content-Range and length');
    },
  };
}

function unsatisfiable(id: string, body: string, range: string, title: string): Omit<ContractCase, 'area'> {
  return {
    id: `ranges.${id}`,
    title,
    source: GET,
    run: async (s3) => {
      await s3.put('object', body);
      const answer = await s3.raw({ method: 'GET', name: 'object', headers: { range } });
      refusedAnswer(answer, 416, 'InvalidRange');
    },
  };
}

async function twoParts(s3: CaseContext): Promise<void> {
  const upload = await s3.upload('object');
  await upload.complete([await upload.part(1, fullPart('a')), await upload.part(2, 'the second part')]);
}

export const RANGE_CASES = inArea('ranges', [
  served('first', 'bytes=0-3', '0123', 'the first bytes'),
  served('middle', 'bytes=4-6', '456', 'bytes in the middle'),
  served('one-byte', 'bytes=9-9', '9', 'one byte'),
  served('open', 'bytes=7-', '789', 'all to the end'),
  served('suffix', 'bytes=-2', '89', 'the last bytes'),
  served('past-the-end', 'bytes=8-99', '89', 'what there is of it'),
  served('long-suffix', 'bytes=-99', TEXT, 'the whole as 206', MEASURED),
  unsatisfiable('behind', TEXT, 'bytes=10-', 'a range behind the end is 416 InvalidRange'),
  unsatisfiable('empty-object', '', 'bytes=0-0', 'a range of an object without bytes is 416 InvalidRange'),
  {
    id: 'ranges.accept',
    title: 'answers without a range say Accept-Ranges: bytes',
    source: GET,
    run: async (s3) => {
      await s3.put('object', TEXT);
      same((await s3.read('object')).AcceptRanges, 'bytes', 'Accept-Ranges on GET');
      same((await s3.head('object')).AcceptRanges, 'bytes', 'Accept-Ranges on HEAD');
    },
  },
  {
    id: 'ranges.head',
    title: 'HEAD with a range gives 206 and the length of the range',
    source: HEAD,
    run: async (s3) => {
      await s3.put('object', TEXT);
      const { $metadata, ContentLength } = await s3.head('object', { Range: 'bytes=2-4' });
      same([$metadata.httpStatusCode, ContentLength], [206, 3], 'status and length');
    },
  },
  {
    id: 'ranges.if-range-same',
    title: 'If-Range with the ETag of the object leaves the range in force',
    source: MEASURED,
    run: async (s3) => {
      const { ETag = '' } = await s3.put('object', TEXT);
      const answer = await s3.raw({ method: 'GET', name: 'object', headers: { range: 'bytes=0-1', 'if-range': ETag } });
      same([answer.status, answer.body.toString()], [206, '01'], 'status and content');
    },
  },
  {
    id: 'ranges.if-match-and-range',
    title: 'If-Match with another ETag stops a range: 412',
    source: GET,
    run: async (s3) => {
      await s3.put('object', TEXT);
      await refused(s3.read('object', { Range: 'bytes=0-1', IfMatch: '"0"' }), 412, 'PreconditionFailed');
    },
  },
  {
    id: 'ranges.across-parts',
    title: 'a range may cross the border of two parts',
    source: GET,
    run: async (s3) => {
      await twoParts(s3);
      const got = await s3.read('object', { Range: `bytes=${MIN_PART_BYTES - 2}-${MIN_PART_BYTES + 2}` });
      same([got.$metadata.httpStatusCode, got.bytes.toString()], [206, 'aathe'], 'status and content');
    },
  },
  {
    id: 'ranges.last-byte-of-parts',
    title: 'the last byte of a multipart object can be read alone',
    source: GET,
    run: async (s3) => {
      await twoParts(s3);
      const got = await s3.read('object', { Range: 'bytes=-1' });
      same(
        [got.bytes.toString(), got.ContentRange?.split('/')[1]],
        ['t', String(MIN_PART_BYTES + 15)],
        'byte and size',
      );
    },
  },
  {
    id: 'ranges.part-number',
    title: 'GetObject partNumber gives that part as 206 with its Content-Range',
    source: GET,
    run: async (s3) => {
      await twoParts(s3);
      const got = await s3.read('object', { PartNumber: 2 });
      same([got.$metadata.httpStatusCode, got.bytes.toString()], [206, 'the second part'], 'status and content');
      const size = MIN_PART_BYTES + 15;
      same([got.ContentRange, got.PartsCount], [`bytes ${MIN_PART_BYTES}-${size - 1}/${size}`, 2], 'range and count');
    },
  },
  {
    id: 'ranges.head-part-number',
    title: 'HeadObject partNumber gives the length of the part and the number of parts',
    source: HEAD,
    run: async (s3) => {
      await twoParts(s3);
      const head = await s3.send(new HeadObjectCommand({ ...s3.at('object'), PartNumber: 1 }));
      same([head.ContentLength, head.PartsCount], [MIN_PART_BYTES, 2], 'length and count');
    },
  },
  {
    id: 'ranges.part-number-behind',
    title: 'a partNumber that the object does not have is 416',
    source: GET,
    run: async (s3) => {
      await twoParts(s3);
      await refused(s3.read('object', { PartNumber: 3 }), 416);
    },
  },
  {
    id: 'ranges.nonsense',
    title: 'a Range header that is no byte range is ignored',
    source: 'https://www.rfc-editor.org/rfc/rfc9110#section-14.2 and measured: swift-2.30, ceph-16.2',
    run: async (s3) => {
      await s3.put('object', TEXT);
      const answer = await s3.raw({ method: 'GET', name: 'object', headers: { range: 'lines=1-2' } });
      must(answer.status === 200 && answer.body.toString() === TEXT, `${answer.status} ${answer.code || answer.body}`);
    },
  },
]);
