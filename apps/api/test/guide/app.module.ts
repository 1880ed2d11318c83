// --- The guide: Conditional Module Loading ---
import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { StorageModule } from './storage/storage.module';

@Module({
  imports: [
    ConfigModule.forRoot(),
    // Conditionally import StorageModule only when S3 is configured
    ...(process.env.S3_ENDPOINT ? [StorageModule] : []),
  ],
})
export class AppModule {}
// --- end of the guide ---
