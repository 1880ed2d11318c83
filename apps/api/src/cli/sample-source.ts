import { startSampleSource } from '@s3-transfer/local-stack';
import type { CommandContext } from './command-context.js';

/** Fixed, so that the address in a row of yesterday still works; another one is taken when it is in use. */
const SAMPLE_PORT = 9_198;

export type SampleSource = Awaited<ReturnType<typeof startSampleSource>>;

/** Serves the sample recording while the command runs, and lets the product read from exactly this address and port. */
export async function openSampleSource({ opened }: CommandContext): Promise<SampleSource> {
  const sample = await startSampleSource({ port: SAMPLE_PORT });
  opened.defer(() => sample.close());
  const address = `127.0.0.1/32:${new URL(sample.url).port}`;
  process.env.SOURCE_ALLOWED_ADDRESSES = [process.env.SOURCE_ALLOWED_ADDRESSES, address].filter(Boolean).join(',');
  process.env.SOURCE_ALLOW_HTTP = 'true';
  return sample;
}
