/** A reflected CRC whose start value and final XOR are all ones, as CRC-32, CRC-32C and CRC-64/NVME are. */
export interface CrcParameters {
  readonly bits: 32 | 64;
  /** Reflected. */
  readonly polynomial: bigint;
}

export interface CrcOfPart {
  readonly crc: Buffer;
  readonly bytes: number;
}

/**
 * The CRC of joined parts from the CRCs of the parts: appending n bytes multiplies a CRC by x^8n, modulo the polynomial.
 * Parts of one size share the costly power.
 */
export function combineCrcs(parameters: CrcParameters, parts: readonly CrcOfPart[]): Buffer {
  const powers = new Map<number, bigint>();
  let combined = 0n;
  for (const { crc, bytes } of parts) {
    const power = powers.get(bytes) ?? powerOfX(parameters, 8n * BigInt(bytes));
    powers.set(bytes, power);
    combined = multiply(parameters, power, combined) ^ BigInt(`0x${crc.toString('hex')}`);
  }
  return Buffer.from(combined.toString(16).padStart(parameters.bits / 4, '0'), 'hex');
}

/** x^exponent; in reflected form the highest bit stands for x^0. */
function powerOfX(parameters: CrcParameters, exponent: bigint): bigint {
  const one = 1n << BigInt(parameters.bits - 1);
  let result = one;
  let square = one >> 1n;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = multiply(parameters, square, result);
    square = multiply(parameters, square, square);
  }
  return result;
}

function multiply({ bits, polynomial }: CrcParameters, a: bigint, b: bigint): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = BigInt(bits - 1); bit >= 0n; bit -= 1n) {
    if ((a >> bit) & 1n) product ^= factor;
    factor = factor & 1n ? (factor >> 1n) ^ polynomial : factor >> 1n;
  }
  return product;
}
