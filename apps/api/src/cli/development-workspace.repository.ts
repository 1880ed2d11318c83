import { Injectable } from '@nestjs/common';
import { PrismaService } from '../prisma/prisma.service.js';

/** The workspace that commands use when none is named. */
@Injectable()
export class DevelopmentWorkspaceRepository {
  constructor(private readonly prisma: PrismaService) {}

  /** Makes the row when it is not there; a row that is there stays as it is. */
  async ensure(id: string): Promise<void> {
    await this.prisma.client.workspace.upsert({ where: { id }, create: { id, name: 'Development' }, update: {} });
  }
}
