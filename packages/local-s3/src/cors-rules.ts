import { S3Error } from './errors.js';
import { isHeaderName } from './http/header-value.js';
import { childrenOf, each, element, malformedXml, parseXml, textOf, textsOf, xmlDocument } from './xml.js';

const METHODS = ['GET', 'PUT', 'POST', 'DELETE', 'HEAD'];
const MAX_RULES = 100;

export interface CorsRule {
  readonly id?: string | undefined;
  readonly allowedOrigins: readonly string[];
  readonly allowedMethods: readonly string[];
  readonly allowedHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds?: number | undefined;
}

/** @throws S3Error MalformedXML, InvalidRequest */
export function parseCorsRules(xml: string): CorsRule[] {
  const root = parseXml(xml, 'CORSConfiguration');
  const rules = childrenOf(root, 'CORSRule').map((rule): CorsRule => {
    const maxAge = textOf(rule, 'MaxAgeSeconds')?.trim();
    if (maxAge !== undefined && !/^-?\d{1,10}$/.test(maxAge)) throw malformedXml();
    return {
      id: textOf(rule, 'ID'),
      allowedOrigins: textsOf(rule, 'AllowedOrigin'),
      allowedMethods: textsOf(rule, 'AllowedMethod'),
      allowedHeaders: textsOf(rule, 'AllowedHeader'),
      exposeHeaders: textsOf(rule, 'ExposeHeader'),
      maxAgeSeconds: maxAge === undefined ? undefined : Number(maxAge),
    };
  });
  if (rules.length === 0 || rules.length > MAX_RULES) throw malformedXml();
  for (const rule of rules) checkRule(rule);
  return rules;
}

function checkRule(rule: CorsRule): void {
  if (rule.allowedOrigins.length === 0 || rule.allowedMethods.length === 0) throw malformedXml();
  const unknown = rule.allowedMethods.find((method) => !METHODS.includes(method));
  if (unknown !== undefined) {
    throw new S3Error(
      'InvalidRequest',
      `Found unsupported HTTP method in CORS config. Unsupported method is ${unknown}`,
    );
  }
  for (const [name, values] of [
    ['AllowedOrigin', rule.allowedOrigins],
    ['AllowedHeader', rule.allowedHeaders],
  ] as const) {
    const wild = values.find((value) => value.split('*').length > 2);
    if (wild !== undefined) {
      throw new S3Error('InvalidRequest', `${name} "${wild}" can not have more than one wildcard.`);
    }
  }
  const broken = rule.exposeHeaders.find((value) => !isHeaderName(value));
  if (broken !== undefined) throw new S3Error('InvalidRequest', `ExposeHeader "${broken}" is no header name.`);
  const exposed = rule.exposeHeaders.find((value) => value.includes('*'));
  if (exposed !== undefined) {
    throw new S3Error(
      'InvalidRequest',
      `ExposeHeader "${exposed}" contains wildcard. We currently do not support wildcard for ExposeHeader.`,
    );
  }
}

export function corsRulesXml(rules: readonly CorsRule[]): string {
  return xmlDocument(
    'CORSConfiguration',
    each(rules, (rule) =>
      element(
        'CORSRule',
        rule.id === undefined ? undefined : element('ID', rule.id),
        each(rule.allowedOrigins, (origin) => element('AllowedOrigin', origin)),
        each(rule.allowedMethods, (method) => element('AllowedMethod', method)),
        each(rule.allowedHeaders, (header) => element('AllowedHeader', header)),
        each(rule.exposeHeaders, (header) => element('ExposeHeader', header)),
        rule.maxAgeSeconds === undefined ? undefined : element('MaxAgeSeconds', rule.maxAgeSeconds),
      ),
    ),
  );
}

/** The first rule that fits, as S3 chooses it. `requestHeaders` are those a preflight names. */
export function matchCorsRule(
  rules: readonly CorsRule[],
  origin: string,
  method: string,
  requestHeaders: readonly string[],
): CorsRule | undefined {
  return rules.find(
    (rule) =>
      rule.allowedMethods.includes(method) &&
      rule.allowedOrigins.some((pattern) => fits(pattern, origin)) &&
      requestHeaders.every((header) =>
        rule.allowedHeaders.some((pattern) => fits(pattern.toLowerCase(), header.toLowerCase())),
      ),
  );
}

/** The answer headers of a rule, for a preflight and for an actual request alike. */
export function corsHeaders(rule: CorsRule, origin: string): Record<string, string> {
  const isPublic = rule.allowedOrigins.includes('*');
  const headers: Record<string, string> = {
    'access-control-allow-origin': isPublic ? '*' : origin,
    'access-control-allow-methods': rule.allowedMethods.join(', '),
    vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
  };
  if (!isPublic) headers['access-control-allow-credentials'] = 'true';
  if (rule.exposeHeaders.length > 0) headers['access-control-expose-headers'] = rule.exposeHeaders.join(', ');
  if (rule.maxAgeSeconds !== undefined) headers['access-control-max-age'] = String(rule.maxAgeSeconds);
  return headers;
}

function fits(pattern: string, value: string): boolean {
  const star = pattern.indexOf('*');
  if (star === -1) return pattern === value;
  const [start, end] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return value.length >= start.length + end.length && value.startsWith(start) && value.endsWith(end);
}
