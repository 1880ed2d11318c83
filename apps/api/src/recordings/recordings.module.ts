import { Module } from '@nestjs/common';
import { PrismaModule } from '../prisma/prisma.module.js';
import { EventsModule } from '../storage/events/events.module.js';
import { StorageModule } from '../storage/storage.module.js';
import { RecordingRepository } from './recording.repository.js';
import { RecordingLinkListener } from './recording-link.listener.js';
import { RecordingTransferListener } from './recording-transfer.listener.js';
import { RecordingVideosService } from './recording-videos.service.js';
import { RecordingsController } from './recordings.controller.js';

@Module({
  imports: [PrismaModule, StorageModule, EventsModule],
  controllers: [RecordingsController],
  providers: [RecordingRepository, RecordingVideosService, RecordingTransferListener, RecordingLinkListener],
})
export class RecordingsModule {}
