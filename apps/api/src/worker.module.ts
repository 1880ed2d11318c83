import { Module } from '@nestjs/common';
import { EventEmitterModule } from '@nestjs/event-emitter';
import { LoggerModule } from 'nestjs-pino';
import { ENVIRONMENT } from './config/env.js';
import { EnvironmentModule } from './config/env.module.js';
import { toLoggerOptions } from './http/logger-options.js';
import { RecordingsModule } from './recordings/recordings.module.js';
import { StorageModule } from './storage/storage.module.js';

/** The product without HTTP: transfers of the queue, and the listeners of what becomes of them. */
@Module({
  imports: [
    EnvironmentModule,
    LoggerModule.forRootAsync({ inject: [ENVIRONMENT], useFactory: toLoggerOptions }),
    EventEmitterModule.forRoot(),
    StorageModule,
    RecordingsModule,
  ],
})
export class WorkerModule {}
