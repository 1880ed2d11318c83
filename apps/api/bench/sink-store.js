// What S3 answers, for one bucket named in the path, of objects of which only sizes, metadata and the bytes at both ends
// are kept.
import { createHash, randomUUID } from 'node:crypto';
import { describeIntegrity } from './integrity.js';
import { OrderedDigest } from './ordered-digest.js';

const XML = '<?xml version="1.0" encoding="UTF-8"?>\n';
const MAX_LISTED = 1_000;

/** One request: `data` takes its body, `end` gives `{ status, headers, body }`. */
const withoutBody = (answer) => ({ data: () => {}, end: answer });

export class SinkStore {
  #isHashing;
  #objects = new Map();
  #uploads = new Map();
  #written = new Map();

  constructor({ isHashing }) {
    this.#isHashing = isHashing;
  }

  lastWritten(key) {
    return this.#written.get(key) ?? null;
  }

  begin({ method, path, query, headers }) {
    const [, bucket, ...rest] = path.split('/');
    const key = decodeURIComponent(rest.join('/'));
    if (headers['content-encoding']?.includes('aws-chunked') || headers['x-amz-copy-source'] !== undefined) {
      return withoutBody(() => failure(501, 'NotImplemented'));
    }
    if (key === '') return withoutBody(() => this.#answerBucket(method, bucket, query));
    const uploadId = query.get('uploadId');
    if (uploadId !== null) return this.#beginOfUpload({ method, bucket, key, uploadId, query, headers });
    if (method === 'POST' && query.has('uploads')) return withoutBody(() => this.#create(bucket, key, headers));
    if (method === 'PUT') return this.#put(key, headers);
    if (method === 'GET' || method === 'HEAD') return withoutBody(() => this.#read(method, key, headers));
    if (method !== 'DELETE') return withoutBody(() => failure(501, 'NotImplemented'));
    return withoutBody(() => {
      this.#objects.delete(key);
      return { status: 204 };
    });
  }

  #answerBucket(method, bucket, query) {
    if (method === 'HEAD' || method === 'PUT') return { status: 200 };
    if (method !== 'GET') return failure(501, 'NotImplemented');
    if (query.has('location')) return xml('<LocationConstraint/>');
    if (query.has('uploads')) return this.#listUploads(bucket, query);
    return this.#listObjects(bucket, query);
  }

  #listObjects(bucket, query) {
    const maxKeys = Math.min(MAX_LISTED, Number(query.get('max-keys') ?? MAX_LISTED));
    const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
    const prefix = query.get('prefix') ?? '';
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, maxKeys);
    const contents = page.map((key) => {
      const { size, etag, modified } = this.#objects.get(key);
      return `<Contents><Key>${escapeXml(key)}</Key><LastModified>${modified.toISOString()}</LastModified><ETag>${escapeXml(etag)}</ETag><Size>${size}</Size></Contents>`;
    });
    const isTruncated = page.length < keys.length;
    const next = isTruncated ? `<NextContinuationToken>${escapeXml(page.at(-1))}</NextContinuationToken>` : '';
    return xml(
      `<ListBucketResult><Name>${bucket}</Name><KeyCount>${page.length}</KeyCount><MaxKeys>${maxKeys}</MaxKeys><IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`,
    );
  }

  #listUploads(bucket, query) {
    const prefix = query.get('prefix') ?? '';
    const uploads = [...this.#uploads]
      .filter(([, { key }]) => key.startsWith(prefix))
      .map(
        ([id, { key, begun }]) =>
          `<Upload><Key>${escapeXml(key)}</Key><UploadId>${id}</UploadId><Initiated>${begun.toISOString()}</Initiated></Upload>`,
      );
    return xml(
      `<ListMultipartUploadsResult><Bucket>${bucket}</Bucket><IsTruncated>false</IsTruncated>${uploads.join('')}</ListMultipartUploadsResult>`,
    );
  }

  #create(bucket, key, headers) {
    const id = randomUUID();
    const digest = this.#isHashing ? new OrderedDigest() : undefined;
    this.#uploads.set(id, { key, begun: new Date(), metadata: metadataOf(headers), parts: new Map(), digest });
    return xml(
      `<InitiateMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${escapeXml(key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }

  #beginOfUpload({ method, bucket, key, uploadId, query, headers }) {
    const upload = this.#uploads.get(uploadId);
    if (upload?.key !== key) return withoutBody(() => failure(404, 'NoSuchUpload'));
    if (method === 'PUT') return receivePart(upload, Number(query.get('partNumber')), headers);
    if (method === 'GET') return withoutBody(() => listParts(upload, { bucket, uploadId, query }));
    if (method === 'POST') return this.#complete(upload, { bucket, uploadId });
    return withoutBody(() => {
      this.#uploads.delete(uploadId);
      return { status: 204 };
    });
  }

  #complete(upload, { bucket, uploadId }) {
    let text = '';
    return {
      data: (chunk) => {
        text += chunk.latin1Slice();
      },
      end: () => {
        const named = [...text.matchAll(/<Part>.*?<\/Part>/gs)].map(([part]) => ({
          number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
          etag: /<ETag>(?:&quot;|&#34;|")?([0-9a-f]+)/.exec(part)?.[1],
        }));
        const parts = named.map(({ number }) => upload.parts.get(number));
        const isRight = named.every(({ number, etag }, index) => {
          return parts[index]?.md5 === etag && number > (named[index - 1]?.number ?? 0);
        });
        if (named.length === 0 || !isRight) return failure(400, 'InvalidPart');
        const md5 = createHash('md5').update(parts.map((part) => part.md5).join(''), 'hex');
        const etag = `"${md5.digest('hex')}-${parts.length}"`;
        this.#uploads.delete(uploadId);
        this.#write(upload.key, {
          etag,
          size: parts.reduce((sum, part) => sum + part.size, 0),
          first: parts[0].first,
          last: parts.at(-1).last,
          integrity: parts[0].integrity,
          metadata: upload.metadata,
          sha256: upload.digest?.ofParts(parts.length) ?? null,
        });
        return xml(
          `<CompleteMultipartUploadResult><Bucket>${bucket}</Bucket><Key>${escapeXml(upload.key)}</Key><ETag>${escapeXml(etag)}</ETag></CompleteMultipartUploadResult>`,
        );
      },
    };
  }

  #put(key, headers) {
    if (headers['if-none-match'] === '*' && this.#objects.has(key)) {
      return withoutBody(() => failure(412, 'PreconditionFailed'));
    }
    const received = newReceived(headers);
    const digest = this.#isHashing ? new OrderedDigest() : undefined;
    digest?.begin(1);
    return {
      data: (chunk) => {
        receive(received, chunk);
        digest?.add(1, chunk);
      },
      end: () => {
        digest?.end(1);
        const etag = `"${received.md5}"`;
        this.#write(key, { ...received, etag, metadata: metadataOf(headers), sha256: digest?.ofParts(1) ?? null });
        return { status: 200, headers: { etag } };
      },
    };
  }

  #write(key, object) {
    this.#objects.set(key, { ...object, modified: new Date() });
    const { size, sha256, integrity } = object;
    this.#written.set(key, { size, sha256, integrity });
  }

  #read(method, key, { range }) {
    const object = this.#objects.get(key);
    if (object === undefined) return failure(404, 'NoSuchKey');
    const { size, etag, modified, metadata, first, last } = object;
    const headers = { ...metadata, etag, 'last-modified': modified.toUTCString(), 'accept-ranges': 'bytes' };
    if (method === 'HEAD') return { status: 200, headers: { ...headers, 'content-length': size } };
    if (range === undefined && size === 0) return { status: 200, headers };
    const at = range === 'bytes=-1' ? size - 1 : Number(/^bytes=(\d+)-\1$/.exec(range)?.[1] ?? Number.NaN);
    if (at >= size) return failure(416, 'InvalidRange');
    if (at !== 0 && at !== size - 1) return failure(501, 'NotImplemented');
    const body = Buffer.from([at === 0 ? first : last]);
    return { status: 206, headers: { ...headers, 'content-range': `bytes ${at}-${at}/${size}` }, body };
  }
}

function receivePart(upload, number, headers) {
  const part = newReceived(headers);
  upload.digest?.begin(number);
  return {
    data: (chunk) => {
      receive(part, chunk);
      upload.digest?.add(number, chunk);
    },
    end: () => {
      upload.digest?.end(number);
      upload.parts.set(number, part);
      return { status: 200, headers: { etag: `"${part.md5}"` } };
    },
  };
}

function listParts(upload, { bucket, uploadId, query }) {
  const maxParts = Math.min(MAX_LISTED, Number(query.get('max-parts') ?? MAX_LISTED));
  const after = Number(query.get('part-number-marker') ?? 0);
  const numbers = [...upload.parts.keys()].filter((number) => number > after).sort((a, b) => a - b);
  const page = numbers.slice(0, maxParts);
  const parts = page.map((number) => {
    const { size, md5 } = upload.parts.get(number);
    return `<Part><PartNumber>${number}</PartNumber><ETag>&quot;${md5}&quot;</ETag><Size>${size}</Size></Part>`;
  });
  const isTruncated = page.length < numbers.length;
  const next = isTruncated ? `<NextPartNumberMarker>${page.at(-1)}</NextPartNumberMarker>` : '';
  return xml(
    `<ListPartsResult><Bucket>${bucket}</Bucket><Key>${escapeXml(upload.key)}</Key><UploadId>${uploadId}</UploadId><IsTruncated>${isTruncated}</IsTruncated>${next}${parts.join('')}</ListPartsResult>`,
  );
}

/** The MD5 is the client's own where it sent one, and made up elsewhere: to compute it would be the sink's largest cost. */
function newReceived(headers) {
  const sent = headers['content-md5'];
  const md5 = sent === undefined ? randomUUID().replaceAll('-', '') : Buffer.from(sent, 'base64').toString('hex');
  return { size: 0, first: undefined, last: undefined, md5, integrity: describeIntegrity(headers) };
}

function receive(received, chunk) {
  if (received.size === 0) received.first = chunk[0];
  received.last = chunk[chunk.length - 1];
  received.size += chunk.length;
}

function metadataOf(headers) {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) =>
      /^(x-amz-meta-.*|content-(type|encoding|disposition|language)|cache-control)$/.test(name),
    ),
  );
}

function xml(body) {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: XML + body };
}

function failure(status, code) {
  return { ...xml(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`), status };
}

function escapeXml(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
