import { Injectable } from '@nestjs/common';
import { PrismaService } from '../prisma/prisma.service.js';

@Injectable()
export class DatabaseRepository {
  constructor(private readonly prisma: PrismaService) {}

  /**
   * The smallest question to PostgreSQL.
   *
   * @throws DatabaseUnavailableError
   */
  async ping(): Promise<void> {
    await this.prisma.client.$queryRaw`SELECT 1`;
  }
}
