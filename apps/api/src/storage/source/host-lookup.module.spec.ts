import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ConfigModule } from '@nestjs/config';
import { Test, type TestingModule } from '@nestjs/testing';
import { TEST_ENCRYPTION_KEY, TEST_JWT_SECRET } from '../../../test/support/test-token.js';
import { ENVIRONMENT, readEnvironment } from '../../config/env.js';
import { EnvironmentModule } from '../../config/env.module.js';
import { WebhookSubscriptionsModule } from '../events/webhook-subscriptions.module.js';
import { StorageModule } from '../storage.module.js';
import { GuardedPost } from './guarded-post.js';
import { HostLookup } from './host-lookup.js';
import { SourceReader } from './source-reader.js';

let app: TestingModule;
/** Names that were asked for; none is answered before `answer`. */
const asked: string[] = [];
const silence = Promise.withResolvers<readonly string[]>();

beforeAll(async () => {
  const environment = readEnvironment({
    DATABASE_URL: 'postgresql://app@127.0.0.1:9/app',
    AUTH_JWT_SECRET: TEST_JWT_SECRET,
    DATA_ENCRYPTION_KEY: TEST_ENCRYPTION_KEY,
    S3_ENDPOINT: 'http://127.0.0.1:9',
    S3_REGION: 'us-east-1',
    S3_BUCKET: 'test-bucket',
  });
  const resolve = (hostname: string) => {
    asked.push(hostname);
    return silence.promise;
  };
  // Not initialised: nothing is asked of a database or a store.
  app = await Test.createTestingModule({
    imports: [ConfigModule.forRoot(), EnvironmentModule, StorageModule, WebhookSubscriptionsModule],
  })
    .overrideProvider(ENVIRONMENT)
    .useValue(environment)
    .overrideProvider(HostLookup)
    .useFactory({ factory: () => new HostLookup({ resolve }) })
    .compile();
});
afterAll(() => app.close());

it('gives sources and webhooks one queue: a silent name server takes no second turn', async () => {
  const stop = new AbortController();
  const url = new URL('https://source.example/');
  const reading = app.get(SourceReader, { strict: false }).open({ url }, stop.signal);
  const posting = app
    .get(GuardedPost, { strict: false })
    .send({ url: 'https://hook.example/', headers: {}, body: '', timeoutMs: 5_000 }, stop.signal);
  await new Promise(setImmediate);
  expect(asked).toEqual(['source.example']);
  silence.resolve(['127.0.0.1']);
  await expect(posting).resolves.toEqual({ reason: 'webhook address not allowed' });
  await expect(reading).rejects.toMatchObject({ code: 'SOURCE_ADDRESS_BLOCKED' });
  expect(asked).toEqual(['source.example', 'hook.example']);
});
