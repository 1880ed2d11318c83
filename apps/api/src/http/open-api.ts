import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { z } from 'zod';
import { problemSchema } from './http-problem.js';

type JsonSchema = Record<string, unknown>;
type SchemaObject = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>[string];

/** Serves /openapi.json (OpenAPI 3.1) and a page to try it at /docs, which loads nothing from other hosts. */
export function serveOpenApi(app: INestApplication): void {
  SwaggerModule.setup('docs', app, () => createOpenApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'S3 transfer API',
    // Its validator would send the document's address to a host of its own.
    swaggerOptions: { validatorUrl: null, persistAuthorization: true },
  });
}

function createOpenApiDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('S3 transfer API')
    .setDescription(
      'Files from URLs in an S3 bucket. Sizes are strings of digits; errors are application/problem+json.',
    )
    .setVersion('0.1.0')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, 'bearer')
    .addSecurityRequirements('bearer')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    standardSchemaConverter: (schema, { schemaType }) => toJsonSchema(schema as z.ZodType, schemaType),
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
  });
  const { components } = toJsonSchema(problemSchema, 'output');
  document.components = { ...document.components, schemas: { ...document.components?.schemas, ...components } };
  return document;
}

/** A schema as the document shows it: one with an id stands among the components, and is pointed at. */
function toJsonSchema(schema: z.ZodType, io: 'input' | 'output') {
  const {
    $schema: _,
    $defs,
    id,
    ...root
  } = z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io,
    // A format says the same in one word.
    override: ({ jsonSchema }) => {
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
    },
  }) as JsonSchema;
  const components = Object.fromEntries(
    Object.entries({ ...($defs as JsonSchema | undefined), ...(typeof id === 'string' ? { [id]: root } : {}) }).map(
      ([name, definition]) => [name, pointToComponents(definition)],
    ),
  ) as Record<string, SchemaObject>;
  return {
    schema: typeof id === 'string' ? { $ref: `#/components/schemas/${id}` } : pointToComponents(root),
    components,
  };
}

/** zod points into `$defs` and repeats each id there, which JSON Schema 2020-12 does not know. */
function pointToComponents(value: unknown): unknown {
  const text = JSON.stringify(value, (key, item) => (key === 'id' && typeof item === 'string' ? undefined : item));
  return JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/'));
}
