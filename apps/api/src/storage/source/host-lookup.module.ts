import { Module } from '@nestjs/common';
import { STORAGE_OPTIONS, type StorageOptions, storageOptionsProvider } from '../storage.options.js';
import { HostLookup } from './host-lookup.js';

/** One queue of look-ups for all who ask for names that strangers chose: two queues would take both threads of libuv. */
@Module({
  providers: [
    storageOptionsProvider,
    {
      provide: HostLookup,
      useFactory: ({ source }: StorageOptions) => new HostLookup(source),
      inject: [STORAGE_OPTIONS],
    },
  ],
  exports: [HostLookup],
})
export class HostLookupModule {}
