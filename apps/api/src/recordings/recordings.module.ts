import { Module } from '@nestjs/common';
import { PrismaModule } from '../prisma/prisma.module.js';
import { StorageModule } from '../storage/storage.module.js';
import { RecordingRepository } from './recording.repository.js';
import { RecordingTransferListener } from './recording-transfer.listener.js';
import { RecordingVideosService } from './recording-videos.service.js';
import { RecordingsController } from './recordings.controller.js';

@Module({
  imports: [PrismaModule, StorageModule],
  controllers: [RecordingsController],
  providers: [RecordingRepository, RecordingVideosService, RecordingTransferListener],
})
export class RecordingsModule {}
