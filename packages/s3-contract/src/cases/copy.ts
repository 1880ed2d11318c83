import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  GetObjectCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import type { CaseContext } from '../case-context.js';
import { api, type ContractCase, inArea, MEASURED_ON_CEPH } from '../contract.js';
import { must, refused, same, sameBytes } from '../expectations.js';
import { fullPart, MIN_PART_BYTES } from '../upload-under-test.js';
import { encodePath } from '../wire/signature-v4.js';

const COPY = api('API_CopyObject');
const PART_COPY = api('API_UploadPartCopy');
const PAST = new Date('2020-01-01T00:00:00Z');
const OTHER = '"00000000000000000000000000000000"';

const sourceOf = (s3: CaseContext, name: string): string => encodePath(`${s3.bucket}/${s3.key(name)}`);

function copy(s3: CaseContext, from: string, to: string, more: Partial<CopyObjectCommandInput> = {}) {
  return s3.send(new CopyObjectCommand({ ...s3.at(to), CopySource: sourceOf(s3, from), ...more }));
}

function condition(
  id: string,
  input: (etag: string) => Partial<CopyObjectCommandInput>,
  holds: boolean,
  title: string,
): Omit<ContractCase, 'area'> {
  return {
    id: `copy.${id}`,
    title: `${title}: ${holds ? 'copied' : '412'}`,
    source: COPY,
    run: async (s3) => {
      const { ETag = '' } = await s3.put('from', 'content');
      if (holds) {
        await copy(s3, 'from', 'to', input(ETag));
        same(await s3.text('to'), 'content', 'content');
      } else {
        await refused(copy(s3, 'from', 'to', input(ETag)), 412, 'PreconditionFailed');
        await refused(s3.head('to'), 404);
      }
    },
  };
}

export const COPY_CASES = inArea('copy', [
  {
    id: 'copy.object',
    title: 'CopyObject copies bytes, metadata and Content-Type, and answers with the ETag',
    source: COPY,
    run: async (s3) => {
      const { ETag } = await s3.put('from', 'content', { Metadata: { job: '42' }, ContentType: 'video/mp4' });
      const { CopyObjectResult } = await copy(s3, 'from', 'to');
      const got = await s3.read('to');
      same([got.bytes.toString(), got.Metadata, got.ContentType], ['content', { job: '42' }, 'video/mp4'], 'copy');
      same([CopyObjectResult?.ETag, got.ETag], [ETag, ETag], 'ETags');
    },
  },
  {
    id: 'copy.is-apart',
    title: 'a copy does not change with its source',
    source: COPY,
    run: async (s3) => {
      await s3.put('from', 'old');
      await copy(s3, 'from', 'to');
      await s3.put('from', 'new');
      same(await s3.text('to'), 'old', 'content of the copy');
    },
  },
  {
    id: 'copy.special-keys',
    title: 'source and target may have keys that URLs must escape',
    source: COPY,
    run: async (s3) => {
      await s3.put('a b+c%20é?&.txt', 'content');
      await copy(s3, 'a b+c%20é?&.txt', 'd e+f%20ü?&.txt');
      same(await s3.text('d e+f%20ü?&.txt'), 'content', 'content');
    },
  },
  {
    id: 'copy.replace-metadata',
    title: 'MetadataDirective REPLACE takes the headers of the request alone',
    source: COPY,
    run: async (s3) => {
      await s3.put('from', 'content', { Metadata: { old: '1' }, ContentType: 'video/mp4' });
      await copy(s3, 'from', 'to', { MetadataDirective: 'REPLACE', Metadata: { new: '2' }, ContentType: 'text/plain' });
      const { Metadata, ContentType } = await s3.head('to');
      same([Metadata, ContentType], [{ new: '2' }, 'text/plain'], 'metadata and type');
    },
  },
  {
    id: 'copy.to-itself',
    title: 'CopyObject onto itself without a change is InvalidRequest',
    source: COPY,
    run: async (s3) => {
      await s3.put('object', 'content');
      await refused(copy(s3, 'object', 'object'), 400, 'InvalidRequest');
    },
  },
  {
    id: 'copy.to-itself-replace',
    title: 'CopyObject onto itself with REPLACE changes the metadata in place',
    source: COPY,
    run: async (s3) => {
      await s3.put('object', 'content', { Metadata: { old: '1' } });
      await copy(s3, 'object', 'object', { MetadataDirective: 'REPLACE', Metadata: { new: '2' } });
      const got = await s3.read('object');
      same([got.bytes.toString(), got.Metadata], ['content', { new: '2' }], 'content and metadata');
    },
  },
  {
    id: 'copy.multipart-object',
    title: 'CopyObject of a multipart object copies all its parts',
    source: COPY,
    run: async (s3) => {
      const upload = await s3.upload('from');
      await upload.complete([await upload.part(1, fullPart('a')), await upload.part(2, 'end')]);
      await copy(s3, 'from', 'to');
      sameBytes((await s3.read('to')).bytes, Buffer.concat([fullPart('a'), Buffer.from('end')]));
    },
  },
  {
    id: 'copy.other-bucket',
    title: 'CopyObject into another bucket',
    source: COPY,
    needs: ['buckets'],
    run: async (s3) => {
      await s3.put('from', 'content');
      const Bucket = await s3.newBucket();
      await copy(s3, 'from', 'to', { Bucket, Key: 'to' });
      const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'to' }));
      same(await got.Body?.transformToString(), 'content', 'content');
    },
  },
  {
    id: 'copy.missing-source',
    title: 'CopyObject of a key that is not there is NoSuchKey',
    source: COPY,
    run: async (s3) => {
      await refused(copy(s3, 'never', 'to'), 404, 'NoSuchKey');
      await refused(s3.head('to'), 404);
    },
  },
  {
    id: 'copy.missing-bucket',
    title: 'CopyObject from a bucket that is not there is NoSuchBucket',
    source: COPY,
    run: (s3) => refused(copy(s3, 'a', 'to', { CopySource: 's3-contract-never-made/key' }), 404, 'NoSuchBucket'),
  },
  condition('if-match', (etag) => ({ CopySourceIfMatch: etag }), true, 'copy-source-if-match with its ETag'),
  condition('if-match-other', () => ({ CopySourceIfMatch: OTHER }), false, 'copy-source-if-match with another ETag'),
  condition(
    'if-none-match',
    (etag) => ({ CopySourceIfNoneMatch: etag }),
    false,
    'copy-source-if-none-match with its ETag',
  ),
  condition(
    'unmodified-since',
    () => ({ CopySourceIfUnmodifiedSince: PAST }),
    false,
    'copy-source-if-unmodified-since long ago',
  ),
  condition(
    'modified-since',
    () => ({ CopySourceIfModifiedSince: PAST }),
    true,
    'copy-source-if-modified-since long ago',
  ),
  {
    id: 'copy.part',
    title: 'UploadPartCopy makes a part of a whole object',
    source: PART_COPY,
    run: async (s3) => {
      await s3.put('from', 'content');
      const upload = await s3.upload('to');
      const input = { ...upload.ids, PartNumber: 1, CopySource: sourceOf(s3, 'from') };
      const { CopyPartResult } = await s3.send(new UploadPartCopyCommand(input));
      await upload.complete([{ PartNumber: 1, ETag: CopyPartResult?.ETag }]);
      same(await s3.text('to'), 'content', 'content');
    },
  },
  {
    id: 'copy.part-range',
    title: 'UploadPartCopy takes a range of its source, beside parts that were sent',
    source: PART_COPY,
    run: async (s3) => {
      await s3.put('from', Buffer.concat([fullPart('a'), Buffer.from('0123456789')]));
      const upload = await s3.upload('to');
      const range = { CopySource: sourceOf(s3, 'from'), CopySourceRange: `bytes=1-${MIN_PART_BYTES + 4}` };
      const { CopyPartResult } = await s3.send(new UploadPartCopyCommand({ ...upload.ids, PartNumber: 1, ...range }));
      await upload.complete([{ PartNumber: 1, ETag: CopyPartResult?.ETag }, await upload.part(2, 'end')]);
      const { bytes } = await s3.read('to');
      same([bytes.length, bytes.subarray(-8).toString()], [MIN_PART_BYTES + 7, '01234end'], 'length and end');
    },
  },
  {
    id: 'copy.part-range-behind',
    title: 'UploadPartCopy of a range behind the end is refused',
    source: MEASURED_ON_CEPH,
    run: async (s3) => {
      await s3.put('from', Buffer.concat([fullPart('a'), Buffer.from('0123456789')]));
      const upload = await s3.upload('to');
      const range = { CopySource: sourceOf(s3, 'from'), CopySourceRange: `bytes=0-${MIN_PART_BYTES + 10}` };
      const call = s3.send(new UploadPartCopyCommand({ ...upload.ids, PartNumber: 1, ...range }));
      await refused(call, [400, 416], 'InvalidArgument', 'InvalidRange', 'InvalidRequest');
    },
  },
  {
    id: 'copy.time',
    title: 'a copy has a Last-Modified of its own',
    source: COPY,
    run: async (s3) => {
      await s3.put('from', 'content');
      const before = Date.now();
      await copy(s3, 'from', 'to');
      const { LastModified } = await s3.head('to');
      must((LastModified?.getTime() ?? 0) >= before - 2000, `Last-Modified is ${LastModified?.toISOString()}`);
    },
  },
]);
