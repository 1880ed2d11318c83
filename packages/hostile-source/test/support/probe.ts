import { expect } from '@jest/globals';
import { BEHAVIOURS, type BehaviourName, contentRange, type FileContent, type HostileSource } from '../../src/index.js';
import type { ListenerName } from '../../src/listeners.js';
import type { ParameterValues } from '../../src/parameters.js';
import { askRaw, decodeChunks, type RawRequest, type Received } from './raw-client.js';

export type Ask = Omit<RawRequest, 'certificate'>;

/** One URL of one behaviour, and what its checks ask of it. */
export class Probe {
  readonly file: FileContent;
  readonly url: string;

  constructor(
    readonly source: HostileSource,
    readonly name: BehaviourName,
    parameters: ParameterValues = {},
    listener?: ListenerName,
  ) {
    this.url = source.urlOf(name, parameters, { listener });
    const { sizeBytes, seed } = { ...BEHAVIOURS[name].example, ...parameters };
    this.file = { sizeBytes, seed };
  }

  get(ask: Ask = {}): Promise<Received> {
    return askRaw(this.url, { ...ask, certificate: this.source.certificate });
  }

  /** Asks from `start` on, of the version with that validator if one is given. */
  resume(start: number, ifRange?: string, ask: Ask = {}): Promise<Received> {
    const condition: Record<string, string> = ifRange === undefined ? {} : { 'If-Range': ifRange };
    return this.get({ ...ask, headers: { ...ask.headers, Range: `bytes=${start}-`, ...condition } });
  }

  at(url: string, ask: Ask = {}): Promise<Received> {
    return askRaw(url, { ...ask, certificate: this.source.certificate });
  }

  bytes(start = 0, end = this.file.sizeBytes): Buffer {
    return contentRange(this.file, start, end);
  }

  /** A proper answer with the whole file, by length. */
  expectWhole(received: Received): void {
    expect(received).toMatchObject({ status: 200, ending: 'fin' });
    expect(received.headers['content-length']).toEqual([String(this.file.sizeBytes)]);
    this.expectBody(received, 0);
  }

  /** A proper partial answer from `start` to `end`. */
  expectPart(received: Received, start: number, end = this.file.sizeBytes): void {
    expect(received).toMatchObject({ status: 206, ending: 'fin' });
    expect(received.headers['content-range']).toEqual([`bytes ${start}-${end - 1}/${this.file.sizeBytes}`]);
    expect(received.headers['content-length']).toEqual([String(end - start)]);
    this.expectBody(received, start, end);
  }

  expectBody(received: Received, start: number, end = this.file.sizeBytes): void {
    // Not toEqual: a difference of hundreds of kilobytes would be printed byte by byte.
    expect(received.body.length).toBe(end - start);
    expect(received.body.equals(this.bytes(start, end))).toBe(true);
  }

  /** Bytes from `start` on that end at `end`; earlier after a reset, which takes along what was not read yet. */
  expectPiece(received: Received, start: number, end: number): void {
    const { length } = received.body;
    if (received.ending !== 'reset') expect(length).toBe(end - start);
    expect(length).toBeLessThanOrEqual(end - start);
    expect(received.body.equals(this.bytes(start, start + length))).toBe(true);
  }

  expectChunks(received: Received, start: number, end: number, isWhole: boolean): void {
    expect(received.headers['transfer-encoding']).toEqual(['chunked']);
    expect(received.headers['content-length']).toBeUndefined();
    const decoded = decodeChunks(received.body);
    expect(decoded.isWhole).toBe(isWhole);
    this.expectPiece({ ...received, body: decoded.data }, start, end);
  }
}

/** The only value of a header. */
export function header(received: Received, name: string): string {
  const [value = '', ...more] = received.headers[name] ?? [];
  expect(more).toEqual([]);
  return value;
}
