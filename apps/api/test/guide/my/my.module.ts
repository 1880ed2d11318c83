import { MyService } from './my.service';

// --- The guide: Importing the Module ---
import { Module } from '@nestjs/common';
import { StorageModule } from '../storage/storage.module';
import { FileTransferService } from '../storage/file-transfer.service';

@Module({
  imports: [StorageModule],
  providers: [MyService],
})
export class MyModule {}
// --- end of the guide ---
