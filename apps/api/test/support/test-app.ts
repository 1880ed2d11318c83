import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { TEST_JWT_SECRET } from './test-token.js';

export interface TestApp {
  readonly app: NestFastifyApplication;
  /** http://127.0.0.1:port */
  readonly url: string;
  /** A request with the token and a JSON body where given. */
  request(path: string, options?: TestRequest): Promise<Response>;
  close(): Promise<void>;
}

export interface TestRequest {
  method?: string;
  token?: string | undefined;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** Variables of a test app: storage off, tokens of mintToken(), no log. */
const TEST_ENVIRONMENT = {
  AUTH_JWT_SECRET: TEST_JWT_SECRET,
  LOG_LEVEL: 'silent',
  API_HOST: '127.0.0.1',
  API_PORT: '0',
  S3_ENDPOINT: '',
};

/**
 * The whole app on a port of its own, with real sockets. `env` needs DATABASE_URL, and the S3_* of startTestStore()
 * for storage.
 *
 * Whether storage is on is decided when app.module.ts is first imported: one test file has it on or off, not both.
 */
export async function createTestApp({ env }: { env: Record<string, string> }): Promise<TestApp> {
  Object.assign(process.env, TEST_ENVIRONMENT, env);
  const { createApp, listen } = await import('../../src/create-app.js');
  const app = await createApp();
  const url = await listen(app);
  return {
    app,
    url,
    request: (path, options) => sendRequest(url, path, options),
    close: () => app.close(),
  };
}

async function sendRequest(url: string, path: string, { method, token, body, headers }: TestRequest = {}) {
  return await fetch(`${url}${path}`, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(token !== undefined ? { authorization: `Bearer ${token}` } : {}),
      ...(body !== undefined ? { 'content-type': 'application/json' } : {}),
      ...headers,
    },
    ...(body !== undefined ? { body: typeof body === 'string' ? body : JSON.stringify(body) } : {}),
  });
}
