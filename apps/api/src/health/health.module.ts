import { Module } from '@nestjs/common';
import { PrismaModule } from '../prisma/prisma.module.js';
import { DatabaseRepository } from './database.repository.js';
import { HealthController } from './health.controller.js';
import { ReadinessProbe } from './readiness.js';

@Module({
  imports: [PrismaModule],
  controllers: [HealthController],
  providers: [DatabaseRepository, ReadinessProbe],
})
export class HealthModule {}
