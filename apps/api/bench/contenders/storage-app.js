// Storage as a feature gets it, without HTTP.
import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { NestFactory } from '@nestjs/core';
import { EnvironmentModule } from '../../dist/config/env.module.js';
import { PrismaModule } from '../../dist/prisma/prisma.module.js';
import { PrismaService } from '../../dist/prisma/prisma.service.js';
import { FileTransferService } from '../../dist/storage/file-transfer.service.js';
import { StorageModule } from '../../dist/storage/storage.module.js';

export async function startStorageApp() {
  class BenchModule {}
  Module({ imports: [ConfigModule.forRoot(), EnvironmentModule, PrismaModule, StorageModule] })(BenchModule);
  const app = await NestFactory.createApplicationContext(BenchModule, { logger: ['error', 'warn'] });
  const workspace = await app.get(PrismaService).client.workspace.create({ data: { name: 'bench' } });
  return { app, transfers: app.get(FileTransferService), workspaceId: workspace.id };
}
