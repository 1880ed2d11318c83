import type { StorageFile } from '../storage/storage-file.repository';

// file-transfer.service.txt as a declaration: without the decorator and `async`, which a class without bodies cannot have.
export declare class FileTransferService {
  // Transfer from URL to S3 (creates StorageFile record)
  createAndTransfer(options: { sourceUrl: string; workspaceId: string; path: string; type: string; mimeType?: string }): Promise<StorageFile>;

  // Generate presigned URL for a StorageFile
  getSignedUrl(storageFile: StorageFile, expiresIn?: number): Promise<string>;

  // Delete from both S3 and database
  deleteFile(storageFile: StorageFile, hardDelete?: boolean): Promise<void>;
}
