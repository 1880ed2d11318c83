// Runs the guide's own code (test/guide) in Nest, on a real database and a real store.
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { Test, type TestingModule } from '@nestjs/testing';
import { type SampleSource, startSampleSource } from '@s3-transfer/local-stack';
import { PrismaModule } from '../src/prisma/prisma.module.js';
import { RecordingRepository } from '../src/recordings/recording.repository.js';
import { FileTransferService } from '../src/storage/file-transfer.service.js';
import { S3Service } from '../src/storage/s3.service.js';
import { StorageModule } from '../src/storage/storage.module.js';
import { StorageFileRepository } from '../src/storage/storage-file.repository.js';
import { MyModule } from './guide/my/my.module.js';
import { MyService } from './guide/my/my.service.js';
import { RecordingService } from './guide/recordings/recording.service.js';
import { RecordingTransferListener } from './guide/recordings/recording-transfer.listener.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { TEST_JWT_SECRET } from './support/test-token.js';

let database: TestDatabase;
let store: TestStore;
let source: SampleSource;
let app: TestingModule;

beforeAll(async () => {
  [database, store, source] = await Promise.all([createTestDatabase(), startTestStore(), startSampleSource()]);
  Object.assign(process.env, store.variables, {
    DATABASE_URL: database.url,
    AUTH_JWT_SECRET: TEST_JWT_SECRET,
    SOURCE_ALLOWED_ADDRESSES: '127.0.0.1/32',
  });
  // The guide's condition reads the environment when its file is evaluated.
  const { AppModule } = await import('./guide/app.module.js');
  app = await Test.createTestingModule({
    imports: [AppModule, MyModule, StorageModule, PrismaModule, EventEmitterModule.forRoot()],
    providers: [RecordingRepository, RecordingService, RecordingTransferListener],
  }).compile();
  await app.init();
});

afterAll(async () => {
  await app?.close();
  await Promise.all([store?.stop(), source?.close(), database?.drop()]);
});

async function createRecording() {
  return await app.get(RecordingRepository).create({
    workspaceId: await database.createWorkspace(),
    externalVideoUrl: source.url,
  });
}

describe("the guide's examples", () => {
  it('upload, sign and delete; the look at the deleted object finds nothing', async () => {
    // Deleted one line before, so that a store which is consistent has nothing to show.
    await expect(app.get(MyService).uploadFile()).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
  });

  it('transfer a recording, sign it, and delete it softly and then hard with the same object', async () => {
    const s3 = app.get(S3Service);
    const recording = await createRecording();
    await app.get(RecordingService).transferRecordingVideo(recording);
    expect(await database.query('SELECT id FROM core_storage_file')).toEqual([]);
    await expect(s3.headObject(`recordings/${recording.workspaceId}/${recording.id}.mp4`)).rejects.toMatchObject({
      code: 'OBJECT_NOT_FOUND',
    });
  });

  it('bring the video of a recording that is ready', async () => {
    const log = jest.spyOn(app.get(RecordingTransferListener).logger, 'log');
    const { id, workspaceId } = await createRecording();
    await app.get(EventEmitter2).emitAsync('recording.ready', { recordingId: id });
    expect(log).toHaveBeenCalledWith(`Video transferred: ${id}`);

    const { videoFileId } = await app.get(RecordingRepository).findById(id);
    const file = await app.get(StorageFileRepository).findById({ workspaceId, id: videoFileId ?? '' });
    expect(file).toMatchObject({ transferStatus: 'DONE', size: BigInt(source.sizeBytes), sha256: source.sha256 });

    if (file === null) throw new Error('no file');
    const url = await app.get(FileTransferService).getSignedUrl(file);
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('3600');
    const answer = await fetch(url);
    expect(answer.headers.get('content-type')).toBe('video/mp4');
    expect(
      createHash('sha256')
        .update(Buffer.from(await answer.arrayBuffer()))
        .digest('hex'),
    ).toBe(source.sha256);
  });
});
