import { Injectable } from '@nestjs/common';
import { create as createContentDisposition } from 'content-disposition';
import { StorageError } from '../storage.errors.js';
import { MAX_URL_EXPIRY_SECONDS } from '../storage.options.js';
import { GetUrlSigner } from './get-url-signer.js';
import { S3Clients } from './s3-clients.js';

export interface PresignGet {
  bucket: string;
  key: string;
  /** Whole seconds, 1 to 604,800. */
  expiresIn: number;
  /** How a browser shall take the object; absent: as it is stored. */
  disposition?: { type: 'inline' | 'attachment'; filename: string };
  /** Content-Type of the answer instead of the stored one. */
  contentType?: string;
}

export interface PresignedUrl {
  url: string;
  /** When the URL stops working: at the end of its life, or of the credentials that signed it. */
  expiresAt: Date;
}

/** Signs GET requests: no request is made, the URL is computed from the keys. */
@Injectable()
export class Presigner {
  private readonly signer: GetUrlSigner;

  constructor(clients: S3Clients) {
    this.signer = new GetUrlSigner(clients.signing);
  }

  /** @throws StorageError INVALID_EXPIRY */
  async presignGet({ bucket, key, expiresIn, disposition, contentType }: PresignGet): Promise<PresignedUrl> {
    if (!Number.isInteger(expiresIn) || expiresIn < 1 || expiresIn > MAX_URL_EXPIRY_SECONDS) {
      throw new StorageError('INVALID_EXPIRY', `expiresIn must be 1 to ${MAX_URL_EXPIRY_SECONDS} whole seconds`);
    }
    const signingDate = new Date();
    const contentDisposition =
      disposition && createContentDisposition(disposition.filename, { type: disposition.type });
    const { url, credentialsExpiration } = await this.signer.sign({
      bucket,
      key,
      expiresIn,
      signingDate,
      contentDisposition,
      contentType,
    });
    // The URL ends with the credentials that signed it, whatever it says itself.
    const end = signingDate.getTime() + expiresIn * 1_000;
    return { url, expiresAt: new Date(Math.min(end, credentialsExpiration?.getTime() ?? end)) };
  }
}
