import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Inject, Injectable } from '@nestjs/common';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions, type StoreOptions } from '../storage.options.js';
import { BucketSettings } from './bucket-settings.js';
import { Presigner } from './presigner.js';
import { S3Clients } from './s3-clients.js';
import { statusOf, toStoreError } from './s3-error.js';
import { StoreCapabilities } from './store-capabilities.js';
import type { StoreProfile } from './store-profile.js';

/** Everything the doctor writes lies below it, and is removed again. */
const OWN_PREFIX = '.s3-transfer-doctor/';
/** S3 refuses signatures whose clock is 15 minutes off; presigned URLs live shorter by as much as it is off. */
const CLOCK_LIMIT_S = 900;
const CLOCK_NOTE_S = 30;
const FETCH_TIMEOUT_MS = 10_000;
/** Base64 of an MD5 that no body here has. */
const WRONG_MD5 = 'AAAAAAAAAAAAAAAAAAAAAA==';

export interface Finding {
  readonly check: string;
  /** `problem`: the product cannot work, or the bucket is open. `warning`: it works, and something should be mended. */
  readonly verdict: 'ok' | 'note' | 'warning' | 'problem';
  readonly says: string;
  /** What to do, or what the product does about it. */
  readonly advice?: string;
}

export interface StoreDiagnosis {
  readonly store: StoreProfile;
  readonly endpoint: string;
  readonly bucket: string;
  readonly findings: readonly Finding[];
}

/**
 * Examines the configured store as its user: what it can and cannot do, and what the key may and may not.
 *
 * Writes only objects and uploads below a prefix of its own, and removes them. Makes no call that a store may take for
 * something else: no sub-resource is set or deleted.
 */
@Injectable()
export class StoreDoctor {
  private readonly store: StoreOptions;

  constructor(
    private readonly clients: S3Clients,
    private readonly capabilities: StoreCapabilities,
    private readonly settings: BucketSettings,
    private readonly presigner: Presigner,
    @Inject(STORAGE_OPTIONS) options: StorageOptions,
  ) {
    this.store = options.store;
  }

  /** @param webOrigins origins of pages that read presigned URLs */
  async examine(webOrigins: readonly string[]): Promise<StoreDiagnosis> {
    const { endpoint, bucket } = this.store;
    const findings: Finding[] = [await this.checkAccess()];
    const profile = await this.capabilities.profile();
    if (findings[0]?.verdict !== 'problem') {
      const key = `${OWN_PREFIX}${randomUUID()}`;
      findings.push(this.describe(profile), await this.checkClock());
      const rights = await this.checkRights(key, profile);
      findings.push(...rights);
      if (rights.every(({ verdict }) => verdict !== 'problem')) {
        findings.push(await this.checkBodies(key), await this.checkConditionalPut(key, profile));
        findings.push(await this.checkPresigned(key), await this.checkPublicAccess(key));
      }
      findings.push(
        await this.checkOtherBuckets(),
        await this.checkCors(webOrigins),
        await this.checkLifecycle(profile),
      );
      findings.push(await this.cleanUp(key));
    }
    return { store: profile, endpoint, bucket, findings };
  }

  private async checkAccess(): Promise<Finding> {
    const check = 'access';
    const { bucket, region } = this.store;
    try {
      await this.clients.control.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 }));
      return { check, verdict: 'ok', says: `bucket ${bucket} answers to this key in region ${region}` };
    } catch (error) {
      const { name = '', Region: rightRegion } = error as { name?: string; Region?: string };
      if (name === 'AuthorizationHeaderMalformed') {
        const says = `the store refuses a signature for region ${region}`;
        return { check, verdict: 'problem', says, advice: `set S3_REGION=${rightRegion ?? 'the region it names'}` };
      }
      if (name === 'RequestTimeTooSkewed') {
        return { check, verdict: 'problem', says: "this machine's clock is wrong", advice: 'set it by NTP' };
      }
      const { message } = toStoreError(error, 'listing', { bucket });
      return { check, verdict: 'problem', says: message, advice: ADVICE_FOR_ACCESS[name] ?? ADVICE_FOR_ACCESS.other };
    }
  }

  private describe(profile: StoreProfile): Finding {
    const says = `it is ${profile.title}: up to ${profile.maxParts.value} parts an upload`;
    const largest = Math.floor((this.store.partSizeBytes * profile.maxParts.value) / 1024 ** 3);
    const advice = `a stream of unknown length may have ${largest} GiB at S3_PART_SIZE_BYTES=${this.store.partSizeBytes}; a known one gets larger parts`;
    return { check: 'store', verdict: profile.name === 'unknown' ? 'note' : 'ok', says, advice };
  }

  private async checkClock(): Promise<Finding> {
    const check = 'clock';
    const asked = Date.now();
    const answer = await fetch(this.store.endpoint, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) }).catch(
      () => undefined,
    );
    await answer?.body?.cancel();
    const date = Date.parse(answer?.headers.get('date') ?? '');
    if (Number.isNaN(date)) return { check, verdict: 'note', says: 'the store did not tell its time' };
    const offBy = Math.round(Math.abs(date - (asked + Date.now()) / 2) / 1_000);
    if (offBy <= CLOCK_NOTE_S) return { check, verdict: 'ok', says: "this machine's clock agrees with the store's" };
    const verdict = offBy > CLOCK_LIMIT_S ? 'problem' : 'warning';
    return { check, verdict, says: `this machine's clock is ${offBy} s off the store's`, advice: 'set it by NTP' };
  }

  /** Every right that the product needs, each by the call that needs it. */
  private async checkRights(key: string, profile: StoreProfile): Promise<Finding[]> {
    const place = { Bucket: this.store.bucket, Key: key };
    const { control } = this.clients;
    let UploadId: string | undefined;
    const calls: [right: string, call: () => Promise<unknown>][] = [
      ['s3:PutObject', () => control.send(new PutObjectCommand({ ...place, Body: Buffer.from('doctor') }))],
      ['s3:GetObject', () => control.send(new HeadObjectCommand(place))],
      [
        's3:PutObject (multipart)',
        async () => {
          ({ UploadId } = await control.send(new CreateMultipartUploadCommand(place)));
          await control.send(new UploadPartCommand({ ...place, UploadId, PartNumber: 1, Body: Buffer.from('x') }));
        },
      ],
      ['s3:ListMultipartUploadParts', () => control.send(new ListPartsCommand({ ...place, UploadId }))],
      [
        's3:ListBucketMultipartUploads',
        () => control.send(new ListMultipartUploadsCommand({ Bucket: place.Bucket, Prefix: key })),
      ],
      ['the highest part number', () => this.sendHighestPart(place, UploadId, profile)],
      ['s3:AbortMultipartUpload', () => control.send(new AbortMultipartUploadCommand({ ...place, UploadId }))],
    ];
    const findings: Finding[] = [];
    for (const [right, call] of calls) {
      try {
        await call();
      } catch (error) {
        const says = `${right} does not work (${statusOf(error) ?? 'no answer'} ${(error as Error).name})`;
        findings.push({ check: 'rights', verdict: 'problem', says, advice: `allow the key ${right} on the bucket` });
      }
    }
    if (findings.length > 0) return findings;
    return [{ check: 'rights', verdict: 'ok', says: 'the key may do all that the product needs' }];
  }

  private async sendHighestPart(
    place: { Bucket: string; Key: string },
    UploadId: string | undefined,
    { maxParts }: StoreProfile,
  ): Promise<void> {
    const part = { ...place, UploadId, PartNumber: maxParts.value, Body: Buffer.from('x') };
    await this.clients.control.send(new UploadPartCommand(part));
  }

  private async checkBodies(key: string): Promise<Finding> {
    const check = 'integrity';
    const place = { Bucket: this.store.bucket, Key: key };
    try {
      await this.clients.control.send(
        new PutObjectCommand({ ...place, Body: Buffer.from('changed on its way'), ContentMD5: WRONG_MD5 }),
      );
      const says = 'a body that does not match its Content-MD5 is accepted';
      return { check, verdict: 'warning', says, advice: 'use https, and compare sha256 of the row with the object' };
    } catch (error) {
      if (statusOf(error) !== 400) throw toStoreError(error, 'proof of', { bucket: place.Bucket, key });
      return { check, verdict: 'ok', says: 'a body that was changed on its way is refused' };
    }
  }

  private async checkConditionalPut(key: string, profile: StoreProfile): Promise<Finding> {
    const check = 'no overwrite';
    const put = new PutObjectCommand({ Bucket: this.store.bucket, Key: key, Body: Buffer.from('x'), IfNoneMatch: '*' });
    const outcome = await this.clients.control.send(put).then(
      () => 'ignored',
      (error) => (statusOf(error) === 412 ? 'honoured' : 'refused'),
    );
    const says = `If-None-Match on PutObject is ${outcome}`;
    const isExpected = outcome === profile.conditionalPut.value || profile.conditionalPut.source === 'unknown';
    const advice = 'the product does not rely on it: a path belongs to one row, and an upload id is the fence';
    return { check, verdict: isExpected ? 'ok' : 'note', says, advice };
  }

  private async checkPresigned(key: string): Promise<Finding> {
    const check = 'presigned URLs';
    const { publicEndpoint, bucket } = this.store;
    const { url } = await this.presigner.presignGet({ bucket, key, expiresIn: 60 });
    const answer = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return { check, verdict: 'ok', says: `a presigned URL at ${new URL(publicEndpoint).host} works` };
    const says = `a presigned URL at ${new URL(publicEndpoint).host} gives ${answer?.status ?? 'no answer'}`;
    const advice = 'S3_PUBLIC_ENDPOINT must be the address of the same store, as browsers reach it';
    return { check, verdict: answer === undefined ? 'warning' : 'problem', says, advice };
  }

  private async checkPublicAccess(key: string): Promise<Finding> {
    const check = 'public access';
    const { url } = await this.presigner.presignGet({ bucket: this.store.bucket, key, expiresIn: 60 });
    const unsigned = new URL(url);
    unsigned.search = '';
    const answer = await fetch(unsigned, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) }).catch(() => undefined);
    await answer?.body?.cancel();
    if (!answer?.ok) return { check, verdict: 'ok', says: 'objects cannot be read without a signature' };
    const advice = "take public read off the bucket's policy or ACL, or switch on block public access";
    return { check, verdict: 'problem', says: 'anybody can read objects without a signature', advice };
  }

  private async checkOtherBuckets(): Promise<Finding> {
    const check = 'scope of the key';
    const others = await this.clients.control.send(new ListBucketsCommand({})).then(
      ({ Buckets = [] }) => Buckets.filter(({ Name }) => !this.store.allowedBuckets.has(Name ?? '')).length,
      () => 0,
    );
    if (others === 0) return { check, verdict: 'ok', says: 'the key shows no other bucket' };
    const says = `the key can list ${others} other bucket${others === 1 ? '' : 's'}`;
    return { check, verdict: 'note', says, advice: 'a key of its own, held to this bucket, limits what a leak costs' };
  }

  private async checkCors(webOrigins: readonly string[]): Promise<Finding> {
    const check = 'CORS';
    try {
      const rules = await this.settings.readCors();
      const allows = (origin: string) =>
        rules.some(
          ({ AllowedOrigins = [], AllowedMethods = [] }) =>
            AllowedMethods.includes('GET') && (AllowedOrigins.includes(origin) || AllowedOrigins.includes('*')),
        );
      const missing = webOrigins.filter((origin) => !allows(origin));
      if (missing.length === 0) return { check, verdict: 'ok', says: `pages of ${webOrigins.join(', ')} may read` };
      const says = `pages of ${missing.join(', ')} may not read presigned URLs`;
      return { check, verdict: 'warning', says, advice: 'pnpm storage cors apply --env dev, staging or prod' };
    } catch (error) {
      return { ...describeUnreadable(error, 'CORS_UNSUPPORTED'), check };
    }
  }

  private async checkLifecycle(profile: StoreProfile): Promise<Finding> {
    const check = 'lifecycle';
    const isSafe = profile.lifecycleAbortIsSafe.value;
    try {
      const rules = await this.settings.readLifecycle();
      const aborts = rules.some(({ Status, AbortIncompleteMultipartUpload: rule }) => rule && Status === 'Enabled');
      if (aborts && isSafe) return { check, verdict: 'ok', says: 'a rule removes stale uploads' };
      if (aborts) {
        const says = 'a rule aborts stale uploads, which on this store can destroy finished objects';
        return { check, verdict: 'warning', says, advice: 'remove the rule: infra/s3/README.md says why' };
      }
      const advice = isSafe
        ? 'infra/s3/lifecycle.json is a net below it'
        : 'leave it so: on this store such a rule is not known to be safe (infra/s3/README.md)';
      const says = 'no rule removes stale uploads; the product cleans up after itself';
      return { check, verdict: isSafe ? 'note' : 'ok', says, advice };
    } catch (error) {
      return { ...describeUnreadable(error, 'LIFECYCLE_UNSUPPORTED'), check };
    }
  }

  private async cleanUp(key: string): Promise<Finding> {
    const check = 's3:DeleteObject';
    const { bucket } = this.store;
    try {
      await this.clients.control.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
      await this.clients.control.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      const says = `${bucket}/${key} is still there after its delete`;
      return {
        check,
        verdict: 'problem',
        says,
        advice: 'a lock or a retention rule on the bucket keeps deletes from working',
      };
    } catch (error) {
      if (statusOf(error) === 404) return { check, verdict: 'ok', says: 'nothing of this examination is left' };
      const { message } = toStoreError(error, 'delete of', { bucket, key });
      return { check, verdict: 'problem', says: message, advice: 'allow the key s3:DeleteObject on the bucket' };
    }
  }
}

const ADVICE_FOR_ACCESS: Record<string, string> & { other: string } = {
  NoSuchBucket: 'make the bucket, or correct S3_BUCKET',
  SignatureDoesNotMatch: 'check S3_SECRET_ACCESS_KEY (Swift says the same of an unknown S3_ACCESS_KEY_ID)',
  InvalidAccessKeyId: 'check S3_ACCESS_KEY_ID',
  AccessDenied: 'allow the key s3:ListBucket on the bucket',
  other: 'check S3_ENDPOINT, the network and the keys',
};

function describeUnreadable(error: unknown, unsupported: StorageError['code']): Omit<Finding, 'check'> {
  if (!(error instanceof StorageError)) throw error;
  const advice = 'infra/s3/README.md says what to do on a store without this call';
  if (error.code === unsupported) return { verdict: 'note', says: error.message, advice };
  return { verdict: 'note', says: `it cannot be read with this key (${error.code})` };
}
