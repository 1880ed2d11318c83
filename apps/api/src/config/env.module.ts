import { Global, Module } from '@nestjs/common';
import { ENVIRONMENT, readEnvironment } from './env.js';
import { SecretBox } from './secret-box.js';

/** Gives every module the checked variables, and what seals secrets under their key. It stands after ConfigModule, which has put `.env` into process.env. */
@Global()
@Module({
  providers: [{ provide: ENVIRONMENT, useFactory: () => readEnvironment(process.env) }, SecretBox],
  exports: [ENVIRONMENT, SecretBox],
})
export class EnvironmentModule {}
