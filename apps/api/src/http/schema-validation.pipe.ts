import { type ArgumentMetadata, Injectable, type PipeTransform } from '@nestjs/common';
import { type FieldError, HttpProblem } from './http-problem.js';

type Part = FieldError['in'];
const PARTS: Partial<Record<ArgumentMetadata['type'], Part>> = { body: 'body', query: 'query', param: 'path' };

/** What the zod schemas of this app add to an issue of Standard Schema. */
interface UnknownKeys {
  readonly code?: string;
  readonly keys?: readonly string[];
}

/** Checks what has a `schema` (`@Body({ schema })`) and answers 400 with every wrong field at once. */
@Injectable()
export class SchemaValidationPipe implements PipeTransform {
  async transform(value: unknown, { schema, type, data }: ArgumentMetadata): Promise<unknown> {
    const part = PARTS[type];
    if (schema === undefined || part === undefined) return value;
    const result = await schema['~standard'].validate(value);
    if (result.issues === undefined) return result.value;
    const errors = result.issues.flatMap((issue): FieldError[] => {
      const path = (issue.path ?? []).map((segment) => String(typeof segment === 'object' ? segment.key : segment));
      const { code, keys = [] } = issue as UnknownKeys;
      if (code === 'unrecognized_keys') {
        return keys.map((key) => ({ in: part, field: [...path, key].join('.'), message: 'is not known' }));
      }
      return [{ in: part, field: data ?? path.join('.'), message: issue.message }];
    });
    throw new HttpProblem({
      status: 400,
      code: 'INVALID_REQUEST',
      detail: 'the request has wrong fields; see errors',
      errors,
    });
  }
}
