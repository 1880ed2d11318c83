import { HttpException } from '@nestjs/common';
import { z } from 'zod';

/** One wrong field of a request. */
export const fieldErrorSchema = z
  .object({
    in: z.enum(['body', 'query', 'path']).meta({ description: 'Part of the request' }),
    field: z.string().meta({ description: 'Name of the field; empty for the whole part' }),
    message: z.string(),
  })
  .meta({ id: 'FieldError' });

/** The body of every error answer: RFC 9457, with a stable `code` to act on. */
export const problemSchema = z
  .object({
    type: z.literal('about:blank').meta({ description: 'The status says what kind it is, the code what it is' }),
    title: z.string().meta({ description: "The status's own phrase", examples: ['Not Found'] }),
    status: z.int().min(400).max(599),
    detail: z.string().optional().meta({ description: 'What went wrong this time, for a person' }),
    instance: z.string().meta({ description: 'Path of the request' }),
    code: z.string().meta({ description: 'Stable name of the error', examples: ['FILE_NOT_FOUND'] }),
    retryable: z.boolean().meta({ description: 'The same request, unchanged, may go well later' }),
    requestId: z.string().meta({ description: 'X-Request-Id of this answer: names the lines in the log' }),
    errors: z.array(fieldErrorSchema).optional().meta({ description: 'Every wrong field of the request' }),
  })
  .meta({ id: 'Problem' });

export type FieldError = z.output<typeof fieldErrorSchema>;
export type Problem = z.output<typeof problemSchema>;

export interface HttpProblemOptions extends ErrorOptions {
  status: number;
  code: string;
  detail: string;
  errors?: FieldError[];
  headers?: Record<string, string>;
}

/** An error of the HTTP layer itself (tokens, bodies, routes) that is answered as it stands. */
export class HttpProblem extends HttpException {
  readonly code: string;
  readonly detail: string;
  readonly errors: FieldError[] | undefined;
  readonly headers: Record<string, string>;

  constructor({ status, code, detail, errors, headers = {}, cause }: HttpProblemOptions) {
    super(detail, status, { cause });
    this.code = code;
    this.detail = detail;
    this.errors = errors;
    this.headers = headers;
  }
}
