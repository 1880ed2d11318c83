import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
} from '@aws-sdk/client-s3';
import { type CaseContext, streamOf } from '../case-context.js';
import { api, ERROR_LIST, guide, inArea, MEASURED, MEASURED_ON_SWIFT } from '../contract.js';
import { must, refusalOf, refused, refusedAnswer, same, sameBytes } from '../expectations.js';
import { fullPart, MIN_PART_BYTES, type UploadUnderTest } from '../upload-under-test.js';

const COMPLETE = api('API_CompleteMultipartUpload');
const UPLOAD_PART = api('API_UploadPart');
const LIST_PARTS = api('API_ListParts');
const LIST_UPLOADS = api('API_ListMultipartUploads');
const ABORT = api('API_AbortMultipartUpload');
const LIMITS = guide('qfacts');
const OVERVIEW = guide('mpuoverview');

const md5 = (data: string | Buffer): Buffer => createHash('md5').update(data).digest();
const numbersOf = (parts: readonly { PartNumber?: number | undefined }[] = []) =>
  parts.map(({ PartNumber }) => PartNumber);

/** Five parts of a few bytes: enough to list, not to complete. */
async function fiveParts(s3: CaseContext): Promise<UploadUnderTest> {
  const upload = await s3.upload('object');
  for (let number = 1; number <= 5; number += 1) await upload.part(number, `part ${number}`);
  return upload;
}

async function openUploads(s3: CaseContext, Prefix = s3.prefix): Promise<{ Key: string; UploadId: string }[]> {
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: s3.bucket, Prefix }));
  return Uploads.map(({ Key = '', UploadId = '' }) => ({ Key, UploadId }));
}

/** Sends one request by hand, for bodies that the SDK would not make. */
function completeRaw(s3: CaseContext, upload: UploadUnderTest, body: string) {
  return s3.raw({ method: 'POST', name: 'object', query: `uploadId=${encodeURIComponent(upload.id)}`, body });
}

export const MULTIPART_CASES = inArea('multipart', [
  {
    id: 'mpu.flow',
    title: 'parts become one object, in their order',
    source: OVERVIEW,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const bodies = [fullPart('a'), fullPart('b'), Buffer.from('end')];
      const parts: CompletedPart[] = [];
      for (const [index, body] of bodies.entries()) parts.push(await upload.part(index + 1, body));
      await upload.complete(parts);
      sameBytes((await s3.read('object')).bytes, Buffer.concat(bodies));
    },
  },
  {
    id: 'mpu.etag',
    title: 'the ETag is the MD5 of the MD5s of the parts and their number',
    source: api('API_Object'),
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(1, fullPart('a')), await upload.part(2, 'end')]);
      const sums = Buffer.concat([md5(fullPart('a')), md5('end')]);
      same((await s3.head('object')).ETag, `"${createHash('md5').update(sums).digest('hex')}-2"`, 'ETag');
    },
  },
  {
    id: 'mpu.complete-names-object',
    title: 'Complete answers with bucket, key and the ETag that HEAD gives',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const { Bucket, Key, ETag } = await upload.complete([await upload.part(1, 'content')]);
      const head = await s3.head('object');
      same({ Bucket, Key, ETag }, { ...s3.at('object'), ETag: head.ETag }, 'answer');
    },
  },
  {
    id: 'mpu.part-etag',
    title: 'the ETag of a part is the MD5 of its bytes',
    source: UPLOAD_PART,
    run: async (s3) => {
      const upload = await s3.upload('object');
      same((await upload.part(1, 'content')).ETag, `"${md5('content').toString('hex')}"`, 'ETag');
    },
  },
  {
    id: 'mpu.parallel',
    title: 'parts may come at once and in any order',
    source: OVERVIEW,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const sent = [upload.part(3, 'end'), upload.part(2, fullPart('b')), upload.part(1, fullPart('a'))];
      const parts = (await Promise.all(sent)).reverse();
      await upload.complete(parts);
      const got = await s3.read('object');
      sameBytes(got.bytes, Buffer.concat([fullPart('a'), fullPart('b'), Buffer.from('end')]));
    },
  },
  {
    id: 'mpu.metadata',
    title: 'metadata, Content-Type, -Disposition and Cache-Control of Create belong to the object',
    source: api('API_CreateMultipartUpload'),
    run: async (s3) => {
      const sent = {
        Metadata: { job: '42' },
        ContentType: 'video/mp4',
        ContentDisposition: 'attachment',
        CacheControl: 'no-store',
      };
      const upload = await s3.upload('object', sent);
      await upload.complete([await upload.part(1, 'content')]);
      const { Metadata, ContentType, ContentDisposition, CacheControl } = await s3.head('object');
      same({ Metadata, ContentType, ContentDisposition, CacheControl }, sent, 'headers');
    },
  },
  {
    id: 'mpu.invisible-before-complete',
    title: 'before Complete there is no object',
    source: OVERVIEW,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.part(1, 'content');
      await refused(s3.head('object'), 404);
      await upload.abort();
    },
  },
  {
    id: 'mpu.old-until-complete',
    title: 'the object of the key stays until Complete, and is replaced by it',
    source: OVERVIEW,
    run: async (s3) => {
      await s3.put('object', 'old');
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, 'new')];
      same(await s3.text('object'), 'old', 'content before Complete');
      await upload.complete(parts);
      same(await s3.text('object'), 'new', 'content after Complete');
    },
  },
  {
    id: 'mpu.single-small-part',
    title: 'the only part may be smaller than 5 MiB',
    source: LIMITS,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(1, 'x')]);
      same(await s3.text('object'), 'x', 'content');
    },
  },
  {
    id: 'mpu.stream-part',
    title: 'a part may be a stream of known length',
    source: MEASURED,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(1, streamOf('one ', 'two'), { ContentLength: 7 })]);
      same(await s3.text('object'), 'one two', 'content');
    },
  },
  {
    id: 'mpu.list-parts',
    title: 'ListParts gives number, size and ETag of what was sent',
    source: LIST_PARTS,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const sent = [await upload.part(2, 'two!'), await upload.part(1, 'one')];
      const { Parts = [], IsTruncated } = await upload.list();
      const wanted = [
        { PartNumber: 1, ETag: sent[1]?.ETag, Size: 3 },
        { PartNumber: 2, ETag: sent[0]?.ETag, Size: 4 },
      ];
      same(
        Parts.map(({ PartNumber, ETag, Size }) => ({ PartNumber, ETag, Size })),
        wanted,
        'parts',
      );
      same(IsTruncated ?? false, false, 'IsTruncated');
    },
  },
  {
    id: 'mpu.list-parts-empty',
    title: 'ListParts of an upload without parts is an empty list',
    source: LIST_PARTS,
    run: async (s3) => {
      const upload = await s3.upload('object');
      same((await upload.list()).Parts ?? [], [], 'parts');
    },
  },
  {
    id: 'mpu.list-parts-pages',
    title: 'ListParts goes on from NextPartNumberMarker',
    source: LIST_PARTS,
    run: async (s3) => {
      const upload = await fiveParts(s3);
      const pages: (number | undefined)[][] = [];
      let PartNumberMarker: string | undefined;
      do {
        const page = await upload.list({ MaxParts: 2, PartNumberMarker });
        pages.push(numbersOf(page.Parts));
        PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
      } while (PartNumberMarker !== undefined && pages.length < 5);
      same(pages, [[1, 2], [3, 4], [5]], 'pages');
    },
  },
  {
    id: 'mpu.list-uploads',
    title: 'ListMultipartUploads finds an upload by prefix, with a key that XML and URLs must escape',
    source: LIST_UPLOADS,
    run: async (s3) => {
      const upload = await s3.upload('in/a 1+é&<.mp4');
      await s3.upload('out/b');
      const wanted = [{ Key: s3.key('in/a 1+é&<.mp4'), UploadId: upload.id }];
      same(await openUploads(s3, s3.key('in/')), wanted, 'uploads');
    },
  },
  {
    id: 'mpu.list-uploads-same-key',
    title: 'two uploads of one key are both listed',
    source: LIST_UPLOADS,
    run: async (s3) => {
      const ids = [(await s3.upload('object')).id, (await s3.upload('object')).id];
      const listed = await openUploads(s3);
      same(listed.map(({ UploadId }) => UploadId).sort(), [...ids].sort(), 'ids');
    },
  },
  {
    id: 'mpu.list-uploads-pages',
    title: 'ListMultipartUploads goes on from both markers and ends',
    source: LIST_UPLOADS,
    run: async (s3) => {
      const names = ['a', 'b', 'b', 'c'];
      for (const name of names) await s3.upload(name);
      const found: string[] = [];
      let page: Partial<ListMultipartUploadsCommandOutput> = {};
      for (let pages = 1; ; pages += 1) {
        must(pages <= names.length, `no end after ${pages - 1} pages of 1`);
        const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
        const input = { Bucket: s3.bucket, Prefix: s3.prefix, MaxUploads: 1, KeyMarker, UploadIdMarker };
        page = await s3.send(new ListMultipartUploadsCommand(input));
        found.push(...(page.Uploads ?? []).map(({ Key = '' }) => Key.slice(s3.prefix.length)));
        if (!page.IsTruncated) break;
      }
      same(found, names, 'keys over all pages');
    },
  },
  {
    id: 'mpu.list-uploads-folders',
    title: 'ListMultipartUploads with a delimiter gives common prefixes',
    source: LIST_UPLOADS,
    run: async (s3) => {
      for (const name of ['a/1', 'a/2', 'b']) await s3.upload(name);
      const input = { Bucket: s3.bucket, Prefix: s3.prefix, Delimiter: '/' };
      const { Uploads = [], CommonPrefixes = [] } = await s3.send(new ListMultipartUploadsCommand(input));
      const found = [CommonPrefixes.map(({ Prefix }) => Prefix), Uploads.map(({ Key }) => Key)];
      same(found, [[s3.key('a/')], [s3.key('b')]], 'prefixes and keys');
    },
  },
  {
    id: 'mpu.gone-from-list',
    title: 'neither a completed nor an aborted upload is listed',
    source: LIST_UPLOADS,
    run: async (s3) => {
      const done = await s3.upload('done');
      await done.complete([await done.part(1, 'content')]);
      await (await s3.upload('aborted')).abort();
      same(await openUploads(s3), [], 'uploads');
    },
  },
  {
    id: 'mpu.abort',
    title: 'Abort answers 204, and ListParts NoSuchUpload from then on',
    source: ABORT,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.part(1, 'content');
      same((await upload.abort()).$metadata.httpStatusCode, 204, 'status');
      await refused(upload.list(), 404, 'NoSuchUpload');
    },
  },
  {
    id: 'mpu.abort-twice',
    title: 'a second Abort is 204 or NoSuchUpload',
    source: ERROR_LIST,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.abort();
      try {
        same((await upload.abort()).$metadata.httpStatusCode, 204, 'status');
      } catch (error) {
        const { status, code } = refusalOf(error);
        same([status, code], [404, 'NoSuchUpload'], 'second Abort');
      }
    },
  },
  {
    id: 'mpu.part-after-abort',
    title: 'UploadPart after Abort is NoSuchUpload',
    source: UPLOAD_PART,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.abort();
      await refused(upload.part(1, 'late'), 404, 'NoSuchUpload');
    },
  },
  {
    id: 'mpu.complete-after-abort',
    title: 'Complete after Abort is NoSuchUpload, and there is no object',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, 'content')];
      await upload.abort();
      await refused(upload.complete(parts), 404, 'NoSuchUpload');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'mpu.abort-one-of-two',
    title: 'Abort of one upload leaves another of the same key',
    source: ABORT,
    run: async (s3) => {
      const [first, second] = [await s3.upload('object'), await s3.upload('object')];
      await first.part(1, 'first');
      const parts = [await second.part(1, 'second')];
      await first.abort();
      await second.complete(parts);
      same(await s3.text('object'), 'second', 'content');
    },
  },
  {
    id: 'mpu.complete-twice',
    title: 'the same Complete again after a success is a success',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, 'content')];
      await upload.complete(parts);
      await upload.complete(parts);
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'mpu.complete-at-once',
    title: 'of two equal Completes at once one at least succeeds, and the object is whole',
    source: MEASURED,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, fullPart('a')), await upload.part(2, 'end')];
      const ends = await Promise.allSettled([upload.complete(parts), upload.complete(parts)]);
      must(
        ends.some(({ status }) => status === 'fulfilled'),
        'both failed',
      );
      sameBytes((await s3.read('object')).bytes, Buffer.concat([fullPart('a'), Buffer.from('end')]));
    },
  },
  {
    id: 'mpu.complete-cut-off',
    title: 'a Complete whose answer was lost can be sent again, and the object is whole',
    source: MEASURED,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, fullPart('a')), await upload.part(2, 'end')];
      const list = parts.map(
        ({ PartNumber, ETag }) => `<Part><PartNumber>${PartNumber}</PartNumber><ETag>${ETag}</ETag></Part>`,
      );
      const body = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
      const { head } = s3.signedHead({
        method: 'POST',
        name: 'object',
        query: `uploadId=${encodeURIComponent(upload.id)}`,
        body,
        unsignedHeaders: { 'content-length': String(body.length) },
      });
      const connection = await s3.connect();
      await connection.write(head + body);
      connection.cut();
      await completeWithPatience(s3, upload, parts);
      sameBytes((await s3.read('object')).bytes, Buffer.concat([fullPart('a'), Buffer.from('end')]));
    },
  },
  {
    id: 'mpu.abort-after-complete',
    title: 'Abort after Complete leaves the object',
    source: MEASURED,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(1, 'content')]);
      await s3.send(new AbortMultipartUploadCommand(upload.ids)).catch(refusalOf);
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'mpu.list-after-complete',
    title: 'ListParts after Complete is NoSuchUpload',
    source: LIST_PARTS,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(1, 'content')]);
      await refused(upload.list(), 404, 'NoSuchUpload');
    },
  },
  {
    id: 'mpu.part-after-complete',
    title: 'UploadPart after Complete is NoSuchUpload, and the object stays',
    source: UPLOAD_PART,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(1, 'content')]);
      await refused(upload.part(1, 'late'), 404, 'NoSuchUpload');
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'mpu.wrong-etag',
    title: 'Complete with a wrong ETag is InvalidPart, and the upload can still be completed',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const part = await upload.part(1, 'content');
      await refused(upload.complete([{ ...part, ETag: `"${'0'.repeat(32)}"` }]), 400, 'InvalidPart');
      await refused(s3.head('object'), 404);
      await upload.complete([part]);
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'mpu.missing-part',
    title: 'Complete that names a part never sent is InvalidPart',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const part = await upload.part(1, fullPart('a'));
      await refused(upload.complete([part, { ...part, PartNumber: 2 }]), 400, 'InvalidPart');
    },
  },
  {
    id: 'mpu.wrong-order',
    title: 'Complete with parts out of order is InvalidPartOrder',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const parts = [await upload.part(1, fullPart('a')), await upload.part(2, fullPart('b'))];
      await refused(upload.complete([...parts].reverse()), 400, 'InvalidPartOrder');
    },
  },
  {
    id: 'mpu.part-twice',
    title: 'Complete that names a part twice is InvalidPartOrder',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const part = await upload.part(1, fullPart('a'));
      await refused(upload.complete([part, part]), 400, 'InvalidPartOrder', 'InvalidPart');
    },
  },
  {
    id: 'mpu.no-parts',
    title: 'Complete without parts is MalformedXML',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.part(1, 'content');
      await refused(upload.complete([]), 400, 'MalformedXML', 'InvalidRequest');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'mpu.malformed-xml',
    title: 'Complete with broken XML is MalformedXML, and the upload survives',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const part = await upload.part(1, 'content');
      refusedAnswer(await completeRaw(s3, upload, '<CompleteMultipartUpload><Part>'), 400, 'MalformedXML');
      await upload.complete([part]);
    },
  },
  {
    id: 'mpu.small-middle',
    title: 'a part below 5 MiB that is not the last is EntityTooSmall, and the upload survives',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const small = await upload.part(1, Buffer.alloc(MIN_PART_BYTES - 1));
      const end = await upload.part(2, 'end');
      await refused(upload.complete([small, end]), 400, 'EntityTooSmall');
      await upload.complete([await upload.part(1, fullPart('a')), end]);
      same((await s3.head('object')).ContentLength, MIN_PART_BYTES + 3, 'length');
    },
  },
  ...([0, 10_001] as const).map((number) => ({
    id: `mpu.part-number-${number}`,
    title: `part number ${number} is InvalidArgument`,
    source: LIMITS,
    run: async (s3: CaseContext) => {
      const upload = await s3.upload('object');
      await refused(upload.part(number, 'content'), 400, 'InvalidArgument');
    },
  })),
  ...([1000, 1001, 10_000] as const).map((number) => ({
    id: `mpu.part-number-${number}`,
    title: `part number ${number.toLocaleString('en')} is accepted`,
    source: number === 1000 ? MEASURED : LIMITS,
    run: async (s3: CaseContext) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(number, 'content')]);
      same(await s3.text('object'), 'content', 'content');
    },
  })),
  {
    id: 'mpu.gaps',
    title: 'part numbers may have gaps',
    source: OVERVIEW,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.complete([await upload.part(7, fullPart('a')), await upload.part(900, 'end')]);
      same((await s3.head('object')).ContentLength, MIN_PART_BYTES + 3, 'length');
    },
  },
  {
    id: 'mpu.subset',
    title: 'Complete may leave parts out; the object has the named ones alone',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      await upload.part(1, 'left out');
      await upload.complete([await upload.part(2, 'content')]);
      same(await s3.text('object'), 'content', 'content');
    },
  },
  {
    id: 'mpu.part-again',
    title: 'a part sent again replaces the one before, whose ETag is InvalidPart then',
    source: UPLOAD_PART,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const first = await upload.part(1, 'first');
      const second = await upload.part(1, 'second!');
      same(
        (await upload.list()).Parts?.map(({ Size }) => Size),
        [7],
        'sizes listed',
      );
      await refused(upload.complete([first]), 400, 'InvalidPart');
      await upload.complete([second]);
      same(await s3.text('object'), 'second!', 'content');
    },
  },
  {
    id: 'mpu.cut-part',
    title: 'a part whose connection breaks is not listed, and can be sent again',
    source: MEASURED,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const { head } = s3.signedHead({
        method: 'PUT',
        name: 'object',
        query: `partNumber=1&uploadId=${encodeURIComponent(upload.id)}`,
        payloadHash: 'UNSIGNED-PAYLOAD',
        unsignedHeaders: { 'content-length': '1000000' },
      });
      const connection = await s3.connect();
      await connection.write(`${head}${'x'.repeat(500_000)}`);
      connection.cut();
      same((await upload.list()).Parts ?? [], [], 'parts');
      await upload.complete([await upload.part(1, 'whole')]);
      same(await s3.text('object'), 'whole', 'content');
    },
  },
  {
    id: 'mpu.delete-object-spares-upload',
    title: 'DeleteObject of the key leaves the open upload',
    source: OVERVIEW,
    run: async (s3) => {
      await s3.put('object', 'old');
      const upload = await s3.upload('object');
      const part = await upload.part(1, 'new');
      await s3.send(new DeleteObjectCommand(s3.at('object')));
      await upload.complete([part]);
      same(await s3.text('object'), 'new', 'content');
    },
  },
  {
    id: 'mpu.other-key',
    title: 'an upload id does not serve another key',
    source: ERROR_LIST,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const query = `partNumber=1&uploadId=${encodeURIComponent(upload.id)}`;
      const answer = await s3.raw({ method: 'PUT', name: 'other', query, body: 'content' });
      refusedAnswer(answer, 404, 'NoSuchUpload');
      same((await upload.list()).Parts ?? [], [], 'parts');
    },
  },
  ...(['part', 'list', 'complete', 'abort'] as const).map((call) => ({
    id: `mpu.unknown-id-${call}`,
    title: `an upload id that never was is NoSuchUpload (${call})`,
    source: ERROR_LIST,
    run: async (s3: CaseContext) => {
      const upload = await s3.upload('object');
      await upload.abort();
      // Of the server's own form, so that it is unknown and not malformed.
      const last = upload.id.at(-1) === '0' ? '1' : '0';
      const UploadId = upload.id.slice(0, -1) + last;
      const part = { PartNumber: 1, ETag: `"${'0'.repeat(32)}"` };
      const calls = {
        part: () => upload.part(1, 'content', { UploadId }),
        list: () => upload.list({ UploadId }),
        complete: () => upload.complete([part], { UploadId }),
        abort: () => s3.send(new AbortMultipartUploadCommand({ ...upload.ids, UploadId })),
      };
      await refused(calls[call](), 404, 'NoSuchUpload');
    },
  })),
  {
    id: 'mpu.object-size-wrong',
    title: 'Complete with another x-amz-mp-object-size is InvalidRequest',
    source: COMPLETE,
    run: async (s3) => {
      const upload = await s3.upload('object');
      const part = await upload.part(1, 'content');
      await refused(upload.complete([part], { MpuObjectSize: 8 }), 400, 'InvalidRequest');
      await refused(s3.head('object'), 404);
    },
  },
  {
    id: 'mpu.last-complete-wins',
    title: 'of two uploads of one key the one completed last is the object',
    source: MEASURED_ON_SWIFT,
    run: async (s3) => {
      const [first, second] = [await s3.upload('object'), await s3.upload('object')];
      const parts = [await first.part(1, 'first'), await second.part(1, 'second')];
      await second.complete(parts.slice(1));
      await first.complete(parts.slice(0, 1));
      same(await s3.text('object'), 'first', 'content');
    },
  },
]);

/** Some servers answer 500 while a Complete before is still at work; the product waits as well. */
async function completeWithPatience(
  s3: CaseContext,
  upload: UploadUnderTest,
  parts: readonly CompletedPart[],
): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const isThere = await s3.head('object').then(
      () => true,
      (error: unknown) => refusalOf(error).status !== 404,
    );
    if (isThere) return; // Done by the first: a second Complete could destroy it.
    try {
      await upload.complete(parts);
      return;
    } catch (error) {
      const { status, code } = refusalOf(error);
      must(status >= 500 && Date.now() < deadline, `the second Complete got ${status} ${code}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
