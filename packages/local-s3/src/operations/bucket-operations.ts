import { corsRulesXml, parseCorsRules } from '../cors-rules.js';
import { S3Error } from '../errors.js';
import { parseLifecycleRules } from '../lifecycle-rules.js';
import { each, element, parseXml, textOf, xmlDocument } from '../xml.js';
import { type Exchange, isoTime } from './exchange.js';
import { refuseUnsupportedHeaders } from './object-headers.js';
import { requireProtectedBody } from './object-operations.js';
import { ownerXml } from './owner.js';

/** The region whose buckets have no location constraint, and where creating one's own bucket again is a success. */
const DEFAULT_REGION = 'us-east-1';

export async function listBuckets(exchange: Exchange): Promise<void> {
  const prefix = exchange.parameter('prefix') ?? '';
  const buckets = exchange.store.list().filter(({ metadata }) => metadata.name.startsWith(prefix));
  exchange.xml(
    xmlDocument(
      'ListAllMyBucketsResult',
      ownerXml('Owner'),
      element(
        'Buckets',
        each(buckets, ({ metadata }) =>
          element('Bucket', element('Name', metadata.name), element('CreationDate', isoTime(metadata.created))),
        ),
      ),
    ),
  );
}

export async function createBucket(exchange: Exchange): Promise<void> {
  refuseUnsupportedHeaders(exchange);
  if (exchange.header('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true') {
    throw new S3Error('NotImplemented', 'A header you provided implies functionality that is not implemented', {
      Header: 'x-amz-bucket-object-lock-enabled',
    });
  }
  const text = await exchange.body.text();
  if (text.trim() !== '') {
    const constraint = textOf(parseXml(text, 'CreateBucketConfiguration'), 'LocationConstraint')?.trim();
    if (constraint && constraint !== exchange.region) {
      throw new S3Error(
        'IllegalLocationConstraintException',
        `The ${constraint} location constraint is incompatible for the region specific endpoint this request was sent to.`,
      );
    }
  }
  const isNew = await exchange.store.create(exchange.target.bucket);
  if (!isNew && exchange.region !== DEFAULT_REGION) {
    throw new S3Error(
      'BucketAlreadyOwnedByYou',
      'Your previous request to create the named bucket succeeded and you already own it.',
      { BucketName: exchange.target.bucket },
    );
  }
  exchange.empty(200, { location: `/${exchange.target.bucket}` });
}

export async function headBucket(exchange: Exchange): Promise<void> {
  exchange.store.get(exchange.target.bucket);
  exchange.response.writeHead(200, { 'x-amz-bucket-region': exchange.region, 'content-type': 'application/xml' }).end();
}

export async function deleteBucket(exchange: Exchange): Promise<void> {
  await exchange.store.delete(exchange.target.bucket);
  exchange.empty(204);
}

export async function getBucketLocation(exchange: Exchange): Promise<void> {
  exchange.store.get(exchange.target.bucket);
  exchange.xml(xmlDocument('LocationConstraint', exchange.region === DEFAULT_REGION ? undefined : exchange.region));
}

export async function putBucketCors(exchange: Exchange): Promise<void> {
  const { bucket, body } = exchange;
  requireProtectedBody(exchange);
  await bucket.update({ corsRules: parseCorsRules(await body.text()) });
  exchange.empty(200);
}

export async function getBucketCors(exchange: Exchange): Promise<void> {
  const rules = exchange.bucket.metadata.corsRules;
  if (!rules) throw new S3Error('NoSuchCORSConfiguration', 'The CORS configuration does not exist');
  exchange.xml(corsRulesXml(rules));
}

export async function deleteBucketCors(exchange: Exchange): Promise<void> {
  await exchange.bucket.update({ corsRules: undefined });
  exchange.empty(204);
}

export async function putBucketLifecycle(exchange: Exchange): Promise<void> {
  const { bucket, body } = exchange;
  requireProtectedBody(exchange);
  const xml = await body.text();
  parseLifecycleRules(xml);
  await bucket.update({ lifecycle: xml });
  exchange.empty(200);
}

export async function getBucketLifecycle(exchange: Exchange): Promise<void> {
  const { lifecycle } = exchange.bucket.metadata;
  if (lifecycle === undefined) {
    throw new S3Error('NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist');
  }
  exchange.xml(lifecycle);
}

export async function deleteBucketLifecycle(exchange: Exchange): Promise<void> {
  await exchange.bucket.update({ lifecycle: undefined });
  exchange.empty(204);
}
