import { createHash } from 'node:crypto';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import type { CrashStage } from '@s3-transfer/crash-stage';

export interface StoredObject {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Which try made it. */
  readonly token: string | undefined;
}

/** What the store holds at the key, past the fault proxy; undefined where there is nothing. */
export async function readObject({ s3, bucket }: CrashStage, Key: string): Promise<StoredObject | undefined> {
  try {
    const { Body, Metadata } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }));
    const bytes = (await Body?.transformToByteArray()) ?? Buffer.alloc(0);
    return {
      sizeBytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      token: Metadata?.['transfer-token'],
    };
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') return undefined;
    throw error;
  }
}

/** Also of one whose bytes Swift removes just now, and which cannot be read. */
export async function hasObject({ s3, bucket }: CrashStage, Key: string): Promise<boolean> {
  try {
    await s3.send(new HeadObjectCommand({ Bucket: bucket, Key }));
    return true;
  } catch (error) {
    if ((error as Error).name === 'NotFound') return false;
    throw error;
  }
}
