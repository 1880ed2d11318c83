import { describe, expect, it } from '@jest/globals';
import { type CorsRule, compareCorsRules, readCorsRules, withWebPort } from './cors-rules.js';

const RULE: CorsRule = {
  AllowedOrigins: ['http://localhost:3000', 'http://127.0.0.1:3000'],
  AllowedMethods: ['GET', 'HEAD'],
  AllowedHeaders: ['*'],
  ExposeHeaders: ['Content-Length', 'Content-Type', 'ETag'],
  MaxAgeSeconds: 3600,
};

describe('readCorsRules', () => {
  it("gives the guide's rule for development", async () => {
    expect(await readCorsRules('dev')).toEqual([RULE]);
  });

  it.each(['staging', 'prod'] as const)(
    'refuses the %s file while it holds its example origin',
    async (environment) => {
      await expect(readCorsRules(environment)).rejects.toMatchObject({
        code: 'EXAMPLE_ORIGIN',
        message: expect.stringContaining(
          `infra/s3/cors-${environment}.json still holds the example origin https://app.`,
        ),
      });
    },
  );
});

describe('withWebPort', () => {
  it('moves the origins of development to another port', () => {
    expect(withWebPort([RULE], 4100)[0]?.AllowedOrigins).toEqual(['http://localhost:4100', 'http://127.0.0.1:4100']);
  });
});

describe('compareCorsRules', () => {
  it('takes lists in another order, and headers in another case, for the same', () => {
    const stored: CorsRule = {
      ...RULE,
      ID: 'named by the store',
      AllowedOrigins: RULE.AllowedOrigins?.toReversed(),
      AllowedMethods: ['HEAD', 'GET'],
      ExposeHeaders: ['etag', 'content-type', 'content-length'],
    };
    expect(compareCorsRules([RULE], [stored])).toEqual([]);
  });

  it('names every field that differs', () => {
    const stored: CorsRule = {
      AllowedOrigins: ['http://LOCALHOST:3000'],
      AllowedMethods: ['GET', 'PUT'],
      AllowedHeaders: ['*'],
      MaxAgeSeconds: 60,
    };
    expect(compareCorsRules([RULE], [stored])).toEqual([
      'rule 1: AllowedOrigins should be http://127.0.0.1:3000, http://localhost:3000, the bucket has http://LOCALHOST:3000',
      'rule 1: AllowedMethods should be GET, HEAD, the bucket has GET, PUT',
      'rule 1: ExposeHeaders should be content-length, content-type, etag, the bucket has none',
      'rule 1: MaxAgeSeconds should be 3600, the bucket has 60',
    ]);
  });

  it('names rules that only one side has', () => {
    expect(compareCorsRules([RULE], [])).toEqual([
      'rule 1 is missing in the bucket: GET, HEAD for http://localhost:3000, http://127.0.0.1:3000',
    ]);
    expect(compareCorsRules([RULE], [RULE, { AllowedOrigins: ['*'], AllowedMethods: ['PUT'] }])).toEqual([
      'rule 2 is in the bucket alone: PUT for *',
    ]);
  });
});
