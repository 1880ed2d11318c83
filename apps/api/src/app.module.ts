import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { EventEmitterModule } from '@nestjs/event-emitter';
import { LoggerModule } from 'nestjs-pino';
import { AuthModule } from './auth/auth.module.js';
import { ENVIRONMENT } from './config/env.js';
import { EnvironmentModule } from './config/env.module.js';
import { FilesModule } from './files/files.module.js';
import { StorageOffModule } from './files/storage-off.module.js';
import { HealthModule } from './health/health.module.js';
import { HttpDrain } from './http/http-drain.js';
import { toLoggerOptions } from './http/logger-options.js';
import { SchemaValidationPipe } from './http/schema-validation.pipe.js';
import { StorageErrorFilter } from './http/storage-error.filter.js';
import { RecordingsModule } from './recordings/recordings.module.js';
import { StorageModule } from './storage/storage.module.js';
import { WebhooksModule } from './webhooks/webhooks.module.js';

@Module({
  imports: [
    // It puts .env into process.env before it returns, so that the condition below sees S3_ENDPOINT from there too.
    ConfigModule.forRoot(),
    EnvironmentModule,
    LoggerModule.forRootAsync({ inject: [ENVIRONMENT], useFactory: toLoggerOptions }),
    EventEmitterModule.forRoot(),
    AuthModule,
    HealthModule,
    // Conditionally import StorageModule only when S3 is configured, and with it the features that need it
    ...(process.env.S3_ENDPOINT ? [StorageModule, RecordingsModule, FilesModule, WebhooksModule] : [StorageOffModule]),
  ],
  providers: [
    HttpDrain,
    { provide: APP_FILTER, useClass: StorageErrorFilter },
    { provide: APP_PIPE, useClass: SchemaValidationPipe },
  ],
})
export class AppModule {}
