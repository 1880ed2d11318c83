import { isDeepStrictEqual } from 'node:util';
import { S3ServiceException } from '@aws-sdk/client-s3';
import { ContractShortfall } from './contract.js';

/** How a server refused a request. */
export interface Refusal {
  /** S3's error code; `NotFound` and the like for an answer without a body. */
  readonly code: string;
  readonly status: number;
}

const MAX_SHOWN = 160;

/** @throws ContractShortfall unless both are deeply equal */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new ContractShortfall(`${what}: ${shown(actual)}, not ${shown(expected)}`);
}

/** @throws ContractShortfall with `did`, what the server did instead */
export function must(holds: boolean, did: string): void {
  if (!holds) throw new ContractShortfall(did);
}

/** @throws ContractShortfall unless the contents are the same, without printing them */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, what = 'content'): void {
  if (Buffer.compare(actual, expected) === 0) return;
  throw new ContractShortfall(
    actual.length === expected.length
      ? `${what}: ${actual.length} bytes, but other ones`
      : `${what}: ${actual.length} bytes, not ${expected.length}`,
  );
}

/**
 * Waits for a refusal with one of these codes. `NotFound` and `Unknown` stand for answers to HEAD, which have no body.
 * @throws ContractShortfall when the server accepts or names another code or status
 */
export async function refused(
  call: Promise<unknown>,
  status: number | readonly number[],
  ...codes: string[]
): Promise<void> {
  let refusal: Refusal;
  try {
    await call;
    throw new ContractShortfall(`accepted, not ${[status].flat().join(' or ')} ${codes.join(' or ')}`);
  } catch (error) {
    refusal = refusalOf(error);
  }
  judge(refusal, status, codes);
}

/** The same for an answer read by fetch or from a socket. */
export function refusedAnswer(answer: Refusal, status: number | readonly number[], ...codes: string[]): void {
  judge(answer, status, codes);
}

function judge(refusal: Refusal, status: number | readonly number[], codes: readonly string[]): void {
  const isStatus = [status].flat().includes(refusal.status);
  if (isStatus && (codes.length === 0 || codes.includes(refusal.code))) return;
  const wanted = `${[status].flat().join(' or ')} ${codes.join(' or ')}`.trim();
  const did = `${refusal.status} ${refusal.code}`.trim();
  throw new ContractShortfall(`${did}, not ${wanted}`);
}

/** Takes an SDK error apart. @throws whatever is no answer of the server */
export function refusalOf(error: unknown): Refusal {
  const status = error instanceof Error && '$metadata' in error ? statusOf(error) : undefined;
  if (status === undefined) throw error;
  return { code: (error as Error).name, status };
}

function statusOf(error: object): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

/** One line that says what went wrong in a case, for any error. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return oneLine(String(error));
  const status = statusOf(error);
  if (status !== undefined) {
    const isSaid = error instanceof S3ServiceException && error.message !== '' && error.message !== 'UnknownError';
    return oneLine(`${status} ${error.name}${isSaid ? `: ${error.message}` : ''}`);
  }
  if (error instanceof ContractShortfall) return oneLine(error.message);
  const code = 'code' in error ? ` ${String(error.code)}` : '';
  return oneLine(`${error.name}${code}: ${error.message}`);
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value));
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > 400 ? `${line.slice(0, 400)}...` : line;
}
