import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';

const COMMON: Record<number, string> = {
  401: 'UNAUTHENTICATED',
  404: 'WORKSPACE_NOT_FOUND: the token does not open this workspace, or it does not exist',
  500: 'INTERNAL',
  503: 'DATABASE_UNAVAILABLE, AUTH_UNAVAILABLE',
};

/** Documents the problems of a route in a workspace: those of every such route, and its own (status -> codes). */
export function ApiProblems(own: Record<number, string> = {}): MethodDecorator {
  const statuses = new Set([...Object.keys(COMMON), ...Object.keys(own)].map(Number));
  const responses = [...statuses].map((status) =>
    ApiResponse({
      status,
      description: [COMMON[status], own[status]].filter((text) => text !== undefined).join('; '),
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    }),
  );
  return applyDecorators(...responses);
}
