import { Global, Module } from '@nestjs/common';
import { ENVIRONMENT, readEnvironment } from './env.js';

/** Gives every module the checked variables. It stands after ConfigModule, which has put `.env` into process.env. */
@Global()
@Module({
  providers: [{ provide: ENVIRONMENT, useFactory: () => readEnvironment(process.env) }],
  exports: [ENVIRONMENT],
})
export class EnvironmentModule {}
