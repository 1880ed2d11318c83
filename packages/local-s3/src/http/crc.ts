const SLICES = 8;

/** A reflected CRC of 32 bits, eight bytes at a time (slicing-by-8), since node:zlib has the plain CRC-32 only. */
export class ReflectedCrc32 {
  readonly #tables: Uint32Array[];
  #crc = 0xffffffff;

  constructor(polynomial: number) {
    this.#tables = tablesOf(polynomial);
  }

  update(data: Buffer): void {
    const [t0, t1, t2, t3, t4, t5, t6, t7] = this.#tables as [
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
      Uint32Array,
    ];
    const at = (table: Uint32Array, index: number): number => table[index & 0xff] as number;
    let crc = this.#crc;
    let index = 0;
    for (; index + SLICES <= data.length; index += SLICES) {
      const low = crc ^ data.readUInt32LE(index);
      const high = data.readUInt32LE(index + 4);
      crc =
        at(t7, low) ^
        at(t6, low >>> 8) ^
        at(t5, low >>> 16) ^
        at(t4, low >>> 24) ^
        at(t3, high) ^
        at(t2, high >>> 8) ^
        at(t1, high >>> 16) ^
        at(t0, high >>> 24);
    }
    for (; index < data.length; index += 1) crc = (crc >>> 8) ^ at(t0, crc ^ (data[index] as number));
    this.#crc = crc;
  }

  digest(): Buffer {
    const result = Buffer.alloc(4);
    result.writeUInt32BE((this.#crc ^ 0xffffffff) >>> 0);
    return result;
  }
}

const knownTables = new Map<number, Uint32Array[]>();

function tablesOf(polynomial: number): Uint32Array[] {
  const known = knownTables.get(polynomial);
  if (known) return known;
  const tables = Array.from({ length: SLICES }, () => new Uint32Array(256));
  const first = tables[0] as Uint32Array;
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    first[byte] = crc;
  }
  for (let slice = 1; slice < SLICES; slice += 1) {
    const previous = tables[slice - 1] as Uint32Array;
    const table = tables[slice] as Uint32Array;
    for (let byte = 0; byte < 256; byte += 1) {
      const crc = previous[byte] as number;
      table[byte] = (crc >>> 8) ^ (first[crc & 0xff] as number);
    }
  }
  knownTables.set(polynomial, tables);
  return tables;
}

/** CRC-64/NVME, as two halves of 32 bits: JavaScript's BigInt would be many times slower. */
export class Crc64Nvme {
  #low = 0xffffffff;
  #high = 0xffffffff;

  update(data: Buffer): void {
    const { low: lowTable, high: highTable } = crc64Tables();
    let low = this.#low;
    let high = this.#high;
    for (let index = 0; index < data.length; index += 1) {
      const entry = (low ^ (data[index] as number)) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ (lowTable[entry] as number);
      high = (high >>> 8) ^ (highTable[entry] as number);
    }
    this.#low = low;
    this.#high = high;
  }

  digest(): Buffer {
    const result = Buffer.alloc(8);
    result.writeUInt32BE((this.#high ^ 0xffffffff) >>> 0, 0);
    result.writeUInt32BE((this.#low ^ 0xffffffff) >>> 0, 4);
    return result;
  }
}

/** 0xad93d23594c93659, reflected. */
export const CRC64_NVME_POLYNOMIAL = 0x9a6c9329ac4bc9b5n;
let knownCrc64Tables: { low: Uint32Array; high: Uint32Array } | undefined;

function crc64Tables(): { low: Uint32Array; high: Uint32Array } {
  if (knownCrc64Tables) return knownCrc64Tables;
  const low = new Uint32Array(256);
  const high = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = BigInt(byte);
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1n ? (crc >> 1n) ^ CRC64_NVME_POLYNOMIAL : crc >> 1n;
    low[byte] = Number(crc & 0xffffffffn);
    high[byte] = Number(crc >> 32n);
  }
  knownCrc64Tables = { low, high };
  return knownCrc64Tables;
}
