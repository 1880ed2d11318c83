import {
  type CORSRule,
  CreateBucketCommand,
  GetBucketCorsCommand,
  GetBucketLifecycleConfigurationCommand,
  HeadBucketCommand,
  type LifecycleRule,
  PutBucketCorsCommand,
} from '@aws-sdk/client-s3';
import { Inject, Injectable } from '@nestjs/common';
import { StorageError } from '../storage.errors.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { S3Clients } from './s3-clients.js';
import { isBucketMissing, isGone, statusOf, toStoreError } from './s3-error.js';
import { StoreCapabilities } from './store-capabilities.js';

/**
 * The bucket's own settings, for commands that set a store up. A call that the store is known not to have is not made:
 * some stores take what they do not know for something else.
 */
@Injectable()
export class BucketSettings {
  private readonly bucket: string;

  constructor(
    private readonly clients: S3Clients,
    private readonly capabilities: StoreCapabilities,
    @Inject(STORAGE_OPTIONS) { store }: StorageOptions,
  ) {
    this.bucket = store.bucket;
  }

  /** Makes S3_BUCKET if the store has none of this name. For a store of one's own: elsewhere buckets are made on purpose. */
  async createIfAbsent(): Promise<void> {
    try {
      await this.clients.control.send(new HeadBucketCommand({ Bucket: this.bucket }));
    } catch (error) {
      if (!isGone(error) && !isBucketMissing(error)) throw toStoreError(error, 'look at', { bucket: this.bucket });
      await this.clients.control.send(new CreateBucketCommand({ Bucket: this.bucket })).catch((cause) => {
        throw toStoreError(cause, 'creation of', { bucket: this.bucket });
      });
    }
  }

  /**
   * The CORS rules; an empty list when the bucket has none.
   *
   * @throws StorageError CORS_UNSUPPORTED where the store has no such call (OpenStack Swift)
   */
  async readCors(bucket = this.bucket): Promise<CORSRule[]> {
    await this.assertCorsCalls();
    try {
      return (await this.clients.control.send(new GetBucketCorsCommand({ Bucket: bucket }))).CORSRules ?? [];
    } catch (error) {
      if (nameOf(error) === 'NoSuchCORSConfiguration') return [];
      throw toUnsupported(error, 'CORS_UNSUPPORTED') ?? toStoreError(error, 'reading the CORS rules of', { bucket });
    }
  }

  /** Replaces the CORS rules. @throws StorageError CORS_UNSUPPORTED */
  async writeCors(rules: CORSRule[], bucket = this.bucket): Promise<void> {
    await this.assertCorsCalls();
    const command = new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: rules } });
    await this.clients.control.send(command).catch((error) => {
      throw toUnsupported(error, 'CORS_UNSUPPORTED') ?? toStoreError(error, 'setting the CORS rules of', { bucket });
    });
  }

  /**
   * The lifecycle rules; an empty list when the bucket has none. Only read: a rule that aborts uploads can destroy
   * objects on some stores (infra/s3/README.md).
   *
   * @throws StorageError LIFECYCLE_UNSUPPORTED
   */
  async readLifecycle(): Promise<LifecycleRule[]> {
    const { bucket } = this;
    if (!(await this.capabilities.profile()).lifecycleCalls.value) throw unsupported('LIFECYCLE_UNSUPPORTED');
    try {
      const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket });
      return (await this.clients.control.send(command)).Rules ?? [];
    } catch (error) {
      if (nameOf(error) === 'NoSuchLifecycleConfiguration') return [];
      throw (
        toUnsupported(error, 'LIFECYCLE_UNSUPPORTED') ?? toStoreError(error, 'reading the lifecycle of', { bucket })
      );
    }
  }

  private async assertCorsCalls(): Promise<void> {
    if (!(await this.capabilities.profile()).corsCalls.value) throw unsupported('CORS_UNSUPPORTED');
  }
}

function nameOf(error: unknown): string {
  return (error as { name?: string }).name ?? '';
}

function toUnsupported(error: unknown, code: UnsupportedCode): StorageError | undefined {
  return statusOf(error) === 501 ? unsupported(code, error) : undefined;
}

type UnsupportedCode = 'CORS_UNSUPPORTED' | 'LIFECYCLE_UNSUPPORTED';

function unsupported(code: UnsupportedCode, cause?: unknown): StorageError {
  const subject = code === 'CORS_UNSUPPORTED' ? 'CORS' : 'lifecycle';
  return new StorageError(code, `this store has no ${subject} call in its S3 API`, { cause });
}
