import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { problemSchema } from '../src/http/http-problem.js';
import { readOpenApi } from './support/open-api.js';
import { createTestApp, type TestApp } from './support/test-app.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { startTestStore, type TestStore } from './support/test-store.js';
import { mintToken } from './support/test-token.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

describe('the HTTP surface', () => {
  let database: TestDatabase;
  let store: TestStore;
  let api: TestApp;
  let workspaceId: string;
  let token: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    workspaceId = await database.createWorkspace();
    token = await mintToken({ workspaces: [workspaceId] });
    store = await startTestStore();
    const env = { DATABASE_URL: database.url, ...store.variables, WEB_ORIGINS: 'http://localhost:3000' };
    api = await createTestApp({ env });
  });
  afterAll(async () => {
    await api?.close();
    await store?.stop();
    await database.drop();
  });

  const post = (body: string, contentType = 'application/json') =>
    api.request(`/workspaces/${workspaceId}/recordings`, {
      method: 'POST',
      token,
      body,
      headers: { 'content-type': contentType },
    });

  /** The problem in an answer, whose shape is checked on the way. */
  async function readProblem(answer: Response) {
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    const problem = problemSchema.strict().parse(await answer.json());
    expect(problem.status).toBe(answer.status);
    expect(problem.requestId).toBe(answer.headers.get('x-request-id'));
    return problem;
  }

  /** A request as it stands: fetch would tidy its path. */
  async function requestRaw(path: string, method = 'GET') {
    return await new Promise<Response>((resolve, reject) => {
      httpRequest(api.url, { path, method }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
          resolve(
            new Response(Buffer.concat(chunks), {
              status: response.statusCode ?? 0,
              headers: new Headers([...headers] as [string, string][]),
            }),
          );
        });
      })
        .on('error', reject)
        .end();
    });
  }

  describe('problems', () => {
    it('tells what is wrong in the shape of RFC 9457', async () => {
      const path = `/workspaces/${workspaceId}/files/5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10`;
      const problem = await readProblem(await api.request(`${path}?x=canary`, { token }));
      expect(problem).toEqual({
        type: 'about:blank',
        title: 'Not Found',
        status: 404,
        detail: 'there is no file 5b0e2c3a-3f0b-4a51-9f2b-2f6f0c9d7a10 in this workspace',
        instance: path,
        code: 'FILE_NOT_FOUND',
        retryable: false,
        requestId: expect.stringMatching(UUID),
      });
    });

    it.each([
      ['malformed JSON', '{"externalVideoUrl": ', 'application/json', 400, 'MALFORMED_REQUEST'],
      ['no body at all', '', 'application/json', 400, 'MALFORMED_REQUEST'],
      ['a poisoned prototype', '{"__proto__": {"a": 1}}', 'application/json', 400, 'MALFORMED_REQUEST'],
      ['too large a body', `{"title": "${'a'.repeat(65_536)}"}`, 'application/json', 413, 'BODY_TOO_LARGE'],
      ['text', 'externalVideoUrl', 'text/plain', 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['form data', 'externalVideoUrl=x', 'application/x-www-form-urlencoded', 415, 'UNSUPPORTED_MEDIA_TYPE'],
      ['an unknown type', '<a/>', 'application/xml', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ])('answers %s', async (_what, body, contentType, status, code) => {
      expect(await readProblem(await post(body, contentType))).toMatchObject({ status, code });
    });

    it.each([
      ['/nowhere?token=canary', 'GET', 404, 'ROUTE_NOT_FOUND'],
      ['/health/live', 'DELETE', 404, 'ROUTE_NOT_FOUND'],
      ['/health/../openapi.json', 'GET', 404, 'ROUTE_NOT_FOUND'],
      ['/%zz', 'GET', 400, 'MALFORMED_REQUEST'],
      [`/workspaces/${'a'.repeat(200)}/files`, 'GET', 414, 'URI_TOO_LONG'],
    ])('answers %s %s', async (path, method, status, code) => {
      const problem = await readProblem(await requestRaw(path, method));
      expect(problem).toMatchObject({ status, code });
      expect(JSON.stringify(problem)).not.toContain('canary');
    });
  });

  describe('request ids', () => {
    it('keeps a sane id of the caller', async () => {
      const answer = await api.request('/health/live', { headers: { 'x-request-id': 'trace-1:a.b' } });
      expect(answer.headers.get('x-request-id')).toBe('trace-1:a.b');
    });

    it.each(['a b', '<script>', '$(x)', 'x'.repeat(101), ''])('makes an id of its own for %j', async (id) => {
      const answer = await api.request('/nowhere', { headers: { 'x-request-id': id } });
      expect(answer.headers.get('x-request-id')).toMatch(UUID);
    });
  });

  describe('CORS', () => {
    const preflight = (origin: string) =>
      api.request(`/workspaces/${workspaceId}/recordings`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type',
        },
      });

    it('lets pages of WEB_ORIGINS call, and read the request id and when to come again', async () => {
      const allowed = await preflight('http://localhost:3000');
      expect(allowed.status).toBe(204);
      expect(allowed.headers.get('access-control-allow-origin')).toBe('http://localhost:3000');
      expect(allowed.headers.get('access-control-allow-methods')).toBe('GET, HEAD, POST, PATCH, DELETE');
      expect(allowed.headers.get('access-control-allow-headers')).toBe(
        'authorization, content-type, idempotency-key, x-request-id',
      );
      const answer = await api.request('/nowhere', { headers: { origin: 'http://localhost:3000' } });
      expect(answer.headers.get('access-control-allow-origin')).toBe('http://localhost:3000');
      expect(answer.headers.get('access-control-expose-headers')).toBe('retry-after, x-request-id');
      expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
    });

    it.each(['http://localhost:3001', 'https://localhost:3000', 'http://evil.example', 'null'])(
      'lets no page of %s call',
      async (origin) => {
        expect((await preflight(origin)).headers.get('access-control-allow-origin')).toBeNull();
        const answer = await api.request('/health/live', { headers: { origin } });
        expect(answer.headers.get('access-control-allow-origin')).toBeNull();
      },
    );
  });

  describe('/openapi.json', () => {
    it('is a valid document of OpenAPI 3.1, whose every pointer leads somewhere', async () => {
      const document = await readOpenApi(api);
      expect(document.openapi).toBe('3.1.0');
      const validator = new Validator();
      expect(await validator.validate(JSON.parse(JSON.stringify(document)))).toEqual({ valid: true });
      const text = JSON.stringify(document);
      const schemas = (document as unknown as { components: { schemas: object } }).components.schemas;
      const pointers = [...text.matchAll(/"\$ref":"([^"]*)"/g)].map(([, pointer = '']) => pointer);
      expect(pointers.length).toBeGreaterThan(20);
      for (const pointer of pointers) {
        expect(Object.keys(schemas).map((name) => `#/components/schemas/${name}`)).toContain(pointer);
      }
      expect(text).not.toContain('$defs');
    });

    it('documents an answer, and the problems of the doors, for every guarded route', async () => {
      const { paths } = await readOpenApi(api);
      for (const [path, operations] of Object.entries(paths)) {
        for (const { responses } of Object.values(operations)) {
          expect(Object.keys(responses).some((status) => status.startsWith('2'))).toBe(true);
          if (path.startsWith('/workspaces')) {
            expect(Object.keys(responses)).toEqual(expect.arrayContaining(['400', '401', '404', '500', '503']));
          }
        }
      }
    });
  });

  it('sends no secret header, and forbids to guess types', async () => {
    const { headers } = await api.request('/health/live');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('strict-transport-security')).toBeNull();
  });
});
