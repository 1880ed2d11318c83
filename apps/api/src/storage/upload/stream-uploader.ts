import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Inject, Injectable } from '@nestjs/common';
import { S3Clients } from '../s3/s3-clients.js';
import { StoreCapabilities } from '../s3/store-capabilities.js';
import { STORAGE_OPTIONS, type StorageOptions } from '../storage.options.js';
import { type ObjectOptions, objectHeaders } from './object-options.js';
import { choosePartIntegrity } from './part-integrity.js';
import { choosePartSize, tooManyParts } from './part-plan.js';
import { PartSender, type SendingMode } from './part-sender.js';
import { UploadAttempt } from './upload-attempt.js';
import { type UploadedObject, UploadOutcome } from './upload-outcome.js';

export interface StreamUploadRequest {
  readonly bucket: string;
  readonly key: string;
  /** Read once. Destroyed with the error when the upload fails. */
  readonly body: Readable;
  readonly contentType: string;
  /** Unique to this upload. */
  readonly token: string;
  readonly object?: ObjectOptions | undefined;
}

/** `send` of the SDK, as far as lib-storage's Upload uses it. */
type UploadCommand = Parameters<S3Client['send']>[0];

/**
 * Streams a body into one object by lib-storage's Upload, and leaves either the whole object or nothing.
 *
 * Upload cuts the body into parts; its calls go the same way as those of ObjectUploader, because by itself it tells
 * neither the upload id nor whether Complete was sent, waits for a stalled body after a part has failed, and aborts
 * after a failed Complete. Memory: parts in flight, and about twice that in buffers on their way.
 */
@Injectable()
export class StreamUploader {
  constructor(
    private readonly clients: S3Clients,
    private readonly capabilities: StoreCapabilities,
    private readonly sender: PartSender,
    private readonly outcome: UploadOutcome,
    @Inject(STORAGE_OPTIONS) private readonly options: StorageOptions,
  ) {}

  /**
   * What stood at the key before is replaced.
   *
   * @throws StorageError of the first thing that went wrong, after the clean-up; the body's own error as it is;
   * UPLOAD_OUTCOME_UNKNOWN when the store never said whether it put the object together
   */
  async upload(request: StreamUploadRequest): Promise<UploadedObject> {
    const { body } = request;
    const attempt = new UploadAttempt(request, (reason) => {
      body.destroy(new Error('upload ended', { cause: reason }));
    });
    // Also while nobody reads it yet: an error that nobody listens to would end the process.
    body.on('error', (error) => attempt.fail(error));
    try {
      await this.send(attempt, request);
    } catch (error) {
      attempt.fail(error);
      await this.outcome.settleFailure(attempt);
    }
    return await this.outcome.prove(attempt);
  }

  private async send(attempt: UploadAttempt, { body, contentType, object }: StreamUploadRequest): Promise<void> {
    const profile = await attempt.orFirstError(this.capabilities.profile());
    const { store } = this.options;
    const maxParts = profile.maxParts.value;
    const partSizeBytes = choosePartSize({ partSizeBytes: store.partSizeBytes, maxParts });
    const mode: SendingMode = {
      integrity: choosePartIntegrity(store, profile),
      headers: objectHeaders(contentType, null, object),
      partSizeBytes,
      isPutConditional: false,
    };
    const { bucket: Bucket, key: Key } = attempt.place;
    const chunks = countBytes(attempt, body, { partSizeBytes, maxParts });
    const upload = new Upload({
      client: this.asClient(attempt, mode),
      params: { Bucket, Key, Body: Readable.from(chunks, { objectMode: false }) },
      partSize: partSizeBytes,
      queueSize: store.queueSize,
      leavePartsOnError: true,
    });
    await upload.done();
  }

  /** Upload takes an S3Client and uses these two members of it. */
  private asClient(attempt: UploadAttempt, mode: SendingMode): S3Client {
    const client: Pick<S3Client, 'config' | 'send'> = {
      config: this.clients.parts.config,
      send: (async (command: UploadCommand) => {
        try {
          attempt.signal.throwIfAborted();
          return await this.carryOut(command, attempt, mode);
        } catch (error) {
          attempt.fail(error);
          throw error;
        }
      }) as S3Client['send'],
    };
    return client as S3Client;
  }

  private async carryOut(command: UploadCommand, attempt: UploadAttempt, mode: SendingMode): Promise<unknown> {
    if (command instanceof CreateMultipartUploadCommand) {
      await this.sender.begin(attempt, mode);
      return { UploadId: attempt.uploadId };
    }
    // Upload hands over whole buffers, never a stream.
    if (command instanceof UploadPartCommand) {
      const { PartNumber = 0, Body } = command.input;
      return await this.sender.sendPart(attempt, PartNumber, Body as Buffer, mode);
    }
    if (command instanceof PutObjectCommand) {
      await this.sender.put(attempt, command.input.Body as Buffer, mode);
      return {};
    }
    if (command instanceof CompleteMultipartUploadCommand) {
      await this.outcome.complete(attempt, command.input.MultipartUpload?.Parts ?? []);
      return {};
    }
    throw new Error('lib-storage sent a command that is not known here');
  }
}

async function* countBytes(
  attempt: UploadAttempt,
  body: Readable,
  plan: { partSizeBytes: number; maxParts: number },
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) {
      const buffer = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer);
      attempt.bytes += buffer.length;
      if (attempt.bytes > plan.partSizeBytes * plan.maxParts) throw tooManyParts(plan);
      yield buffer;
    }
  } catch (error) {
    attempt.fail(error);
    throw error;
  }
}
