import { All, Controller, Logger, Module, type OnModuleInit } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { StorageError } from '../storage/storage.errors.js';

/** Stands in for the features on storage: a client learns why, instead of a route that is not found. */
@ApiExcludeController()
@Controller('workspaces/:workspaceId')
class StorageOffController {
  @All(['files', 'files/*', 'recordings', 'recordings/*', 'webhooks', 'webhooks/*'])
  refuse(): never {
    throw new StorageError('STORAGE_OFF', 'storage is off on this server: S3_ENDPOINT is not set');
  }
}

/** Used in place of StorageModule and its features where S3_ENDPOINT is not set. */
@Module({ controllers: [StorageOffController] })
export class StorageOffModule implements OnModuleInit {
  private readonly logger = new Logger(StorageOffModule.name);

  onModuleInit(): void {
    this.logger.warn('storage is off: S3_ENDPOINT is not set; files, recordings and webhooks answer 503 STORAGE_OFF');
  }
}
