import { createHmac } from 'node:crypto';

/** Derives SigV4 signing keys and keeps the last one: all requests of a day share it. */
export class SigningKeys {
  #day = '';
  #key: Buffer = Buffer.alloc(0);

  constructor(
    private readonly secretAccessKey: string,
    private readonly region: string,
  ) {}

  /** The key of a day written as YYYYMMDD. */
  of(day: string): Buffer {
    if (day !== this.#day) {
      const steps = [day, this.region, 's3', 'aws4_request'];
      this.#key = steps.reduce<Buffer>(
        (key, step) => createHmac('sha256', key).update(step).digest(),
        Buffer.from(`AWS4${this.secretAccessKey}`),
      );
      this.#day = day;
    }
    return this.#key;
  }
}
