// For the ordinary `prisma` command, run in this folder: pnpm --filter @s3-transfer/api exec prisma migrate dev
// The product itself needs none of it: @s3-transfer/migrations applies the migrations without Prisma's download.
import { defineConfig } from 'prisma/config';

export default defineConfig({
  schema: '../../prisma/schema.prisma',
  migrations: { path: '../../prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL ?? '' },
});
