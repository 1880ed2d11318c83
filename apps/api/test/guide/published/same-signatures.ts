// Compiles only while every published method of the guide has the same parameters and the same result in our classes.
import type { FileTransferService, WaitOptions } from '../storage/file-transfer.service';
import type { S3Service } from '../storage/s3.service';
import type { FileTransferService as PublishedFileTransferService } from './file-transfer.service';
import type { S3Service as PublishedS3Service } from './s3.service';

type IsSame<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Method = (...parameters: never[]) => unknown;
type Signature<T> = T extends Method ? [parameters: Parameters<T>, result: ReturnType<T>] : never;
type Comparison<Ours, Published> = {
  [Name in keyof Published & string]: Name extends keyof Ours
    ? IsSame<Signature<Ours[Name]>, Signature<Published[Name]>> extends true
      ? 'same'
      : `${Name} differs`
    : `${Name} is missing`;
};

/** Ours takes an option more, which every call of the guide leaves out. */
interface WithoutObject extends Omit<S3Service, 'uploadStream'> {
  uploadStream(options: Omit<Parameters<S3Service['uploadStream']>[0], 'object'>): ReturnType<S3Service['uploadStream']>;
}

export const s3Service: Comparison<WithoutObject, PublishedS3Service> = {
  uploadStream: 'same',
  getSignedUrl: 'same',
  deleteObject: 'same',
  headObject: 'same',
  getDefaultBucket: 'same',
};

/** Ours takes a second parameter too, which every call of the guide leaves out. */
interface WithWait extends Omit<PublishedFileTransferService, 'createAndTransfer'> {
  createAndTransfer(
    ...parameters: [...Parameters<PublishedFileTransferService['createAndTransfer']>, wait?: WaitOptions]
  ): ReturnType<PublishedFileTransferService['createAndTransfer']>;
}

/** Options that ours takes beside those of the guide, whose every call leaves them out. */
type FurtherOption = 'sourceHeaders' | 'createdBy' | 'idempotencyKey' | 'allowUnprovenLength' | 'expected' | 'maxBytes' | 'object';

interface WithoutFurtherOptions extends Omit<FileTransferService, 'createAndTransfer'> {
  createAndTransfer(
    options: Omit<Parameters<FileTransferService['createAndTransfer']>[0], FurtherOption>,
    wait?: WaitOptions,
  ): ReturnType<FileTransferService['createAndTransfer']>;
}

export const fileTransferService: Comparison<WithoutFurtherOptions, WithWait> = {
  createAndTransfer: 'same',
  getSignedUrl: 'same',
  deleteFile: 'same',
};
