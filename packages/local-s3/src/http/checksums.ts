import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { CRC64_NVME_POLYNOMIAL, Crc64Nvme, ReflectedCrc32 } from './crc.js';
import { type CrcParameters, combineCrcs } from './crc-combine.js';

const CRC32C_POLYNOMIAL = 0x82f63b78;

/** The algorithms S3 takes in x-amz-checksum-*; the names of headers and XML elements follow from them. */
export const CHECKSUM_ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;

export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];

type CrcAlgorithm = Exclude<ChecksumAlgorithm, 'SHA1' | 'SHA256'>;

const CRCS: Readonly<Record<CrcAlgorithm, CrcParameters>> = {
  CRC32: { bits: 32, polynomial: 0xedb88320n },
  CRC32C: { bits: 32, polynomial: BigInt(CRC32C_POLYNOMIAL) },
  CRC64NVME: { bits: 64, polynomial: CRC64_NVME_POLYNOMIAL },
};

/** A checksum as S3 writes it: base64, with `-N` behind it when it is one over the checksums of N parts. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly value: string;
}

export interface RunningChecksum {
  update(data: Buffer): void;
  digest(): Buffer;
}

export function isChecksumAlgorithm(name: string): name is ChecksumAlgorithm {
  return (CHECKSUM_ALGORITHMS as readonly string[]).includes(name);
}

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}

export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  switch (algorithm) {
    case 'CRC32':
      return new PlainCrc32();
    case 'CRC32C':
      return new ReflectedCrc32(CRC32C_POLYNOMIAL);
    case 'CRC64NVME':
      return new Crc64Nvme();
    case 'SHA1':
      return createHash('sha1');
    case 'SHA256':
      return createHash('sha256');
    default:
      return algorithm satisfies never;
  }
}

/** The checksum of checksums that S3 gives an object of several parts. */
export function compositeChecksum(algorithm: ChecksumAlgorithm, parts: readonly string[]): Checksum {
  const running = startChecksum(algorithm);
  for (const part of parts) running.update(Buffer.from(part, 'base64'));
  return { algorithm, value: `${running.digest().toString('base64')}-${parts.length}` };
}

/** The checksum of the whole object, which only a CRC can give without its bytes. */
export function fullObjectChecksum(
  algorithm: CrcAlgorithm,
  parts: readonly { readonly value: string; readonly bytes: number }[],
): Checksum {
  const crcs = parts.map(({ value, bytes }) => ({ crc: Buffer.from(value, 'base64'), bytes }));
  return { algorithm, value: combineCrcs(CRCS[algorithm], crcs).toString('base64') };
}

export function isCrc(algorithm: ChecksumAlgorithm): algorithm is CrcAlgorithm {
  return algorithm in CRCS;
}

class PlainCrc32 {
  #crc = 0;

  update(data: Buffer): void {
    this.#crc = crc32(data, this.#crc);
  }

  digest(): Buffer {
    const result = Buffer.alloc(4);
    result.writeUInt32BE(this.#crc);
    return result;
  }
}
