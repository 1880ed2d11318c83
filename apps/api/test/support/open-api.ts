import type { TestApp } from './test-app.js';

export interface Operation {
  readonly method: string;
  /** With `{names}`. */
  readonly path: string;
  readonly isPublic: boolean;
  /** Statuses that the document names. */
  readonly statuses: readonly number[];
}

interface OpenApiDocument {
  openapi: string;
  paths: Record<string, Record<string, { security?: unknown[]; responses: Record<string, unknown> }>>;
}

export async function readOpenApi(api: TestApp): Promise<OpenApiDocument> {
  return (await (await api.request('/openapi.json')).json()) as OpenApiDocument;
}

/** Every operation of the document, so that a test over all of them cannot forget a new one. */
export async function listOperations(api: TestApp): Promise<Operation[]> {
  const { paths } = await readOpenApi(api);
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security, responses }]) => ({
      method: method.toUpperCase(),
      path,
      isPublic: security?.length === 0,
      statuses: Object.keys(responses).map(Number),
    })),
  );
}
