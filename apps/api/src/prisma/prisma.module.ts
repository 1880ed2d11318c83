import { Module } from '@nestjs/common';
import { EnvironmentModule } from '../config/env.module.js';
import { PrismaService } from './prisma.service.js';

@Module({ imports: [EnvironmentModule], providers: [PrismaService], exports: [PrismaService] })
export class PrismaModule {}
