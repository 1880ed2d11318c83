import type { CaseContext } from './case-context.js';

/** A server to be judged. The suite writes below a prefix of its own and removes it afterwards. */
export interface ContractStore {
  /** For example http://127.0.0.1:9000, without a slash at its end. Buckets are addressed by path. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Exists already. */
  readonly bucket: string;
  /** `false` skips the cases that make buckets of their own; they are removed again. */
  readonly makesBuckets?: boolean;
  /** kill -9 and start again at the same endpoint; resolves when it listens. Absent for servers that the suite does not own. */
  restart?(): Promise<void>;
  /** How long one day of a lifecycle rule lasts on this server, in ms. Only a store with short days can show that it acts on rules. */
  readonly lifecycleDayMs?: number;
  /** local-s3: it also gets the cases which could do harm on a server that takes an unknown request for another one. */
  readonly isOwn?: boolean;
}

export type Area =
  | 'objects'
  | 'keys'
  | 'ranges'
  | 'preconditions'
  | 'checksums'
  | 'multipart'
  | 'presigned'
  | 'cors'
  | 'lifecycle'
  | 'listing'
  | 'copy'
  | 'errors'
  | 'clock'
  | 'crash';

/** What a case asks of a store beyond requests on its bucket. A store that does not offer it skips the case. */
export type Need = 'restart' | 'buckets' | 'lifecycle-day' | 'own';

export interface ContractCase {
  /** Stable: files of known shortfalls name it. */
  readonly id: string;
  readonly area: Area;
  /** What the server does, as a claim. */
  readonly title: string;
  /** The AWS page that says so, or `measured: ...` with the servers that do it. */
  readonly source: string;
  readonly needs?: readonly Need[];
  /** @throws ContractShortfall with what the server did instead */
  run(s3: CaseContext): Promise<void>;
}

export type Outcome = 'ok' | 'short' | 'skipped';

export interface CaseResult {
  readonly id: string;
  readonly area: Area;
  readonly title: string;
  readonly outcome: Outcome;
  /** For a shortfall what the server did instead, for a skipped case what the store does not offer; one line. */
  readonly did?: string;
  readonly ms: number;
}

/** The server did something else than the contract says; the message is what it did. */
export class ContractShortfall extends Error {
  override readonly name = 'ContractShortfall';
}

/** Gives the cases of one file their area. */
export function inArea(area: Area, cases: readonly Omit<ContractCase, 'area'>[]): readonly ContractCase[] {
  return cases.map((entry) => ({ ...entry, area }));
}

/** The page of one operation in the S3 API reference. */
export function api(operation: string): string {
  return `https://docs.aws.amazon.com/AmazonS3/latest/API/${operation}.html`;
}

/** A page of the S3 user guide. */
export function guide(page: string): string {
  return `https://docs.aws.amazon.com/AmazonS3/latest/userguide/${page}.html`;
}

export const ERROR_LIST = api('ErrorResponses');
export const MEASURED = 'measured: swift-2.30, ceph-16.2';
export const MEASURED_ON_SWIFT = 'measured: swift-2.30';
export const MEASURED_ON_CEPH = 'measured: ceph-16.2';
