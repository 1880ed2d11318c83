import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

const MAIN = fileURLToPath(new URL('../chaos/main.js', import.meta.url));

interface Run {
  code: number;
  output: string;
}

/** `pnpm chaos` without its build. */
function chaos(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: `${stdout}${stderr}` });
    });
  });
}

const linesOf = ({ output }: Run) => output.trim().split('\n');

describe('pnpm chaos', () => {
  it('plans the same for a seed, however many transfers there are and in which run', async () => {
    const few = linesOf(await chaos('--plan', '--seed', '7', '--transfers', '20'));
    const more = linesOf(await chaos('--plan', '--seed', '7', '--transfers', '40'));
    const others = linesOf(await chaos('--plan', '--seed', '8', '--transfers', '20'));
    expect(few).toHaveLength(20);
    expect(more.slice(0, 20)).toEqual(few);
    expect(others.map((line) => line.replace('"seed":8', '"seed":7'))).not.toEqual(few);
    expect(linesOf(await chaos('--plan', '--seed', '7', '--only', '13'))).toEqual([few[12]]);
  });

  it('has every behaviour of a source and every fault of a store in a plan of 500', async () => {
    const { output } = await chaos('--plan', '--seed', '9', '--transfers', '500');
    const { BEHAVIOUR_NAMES } = await import('@s3-transfer/hostile-source');
    const { FAULT_NAMES } = await import('@s3-transfer/s3-faults');
    const missing = [...BEHAVIOUR_NAMES, ...FAULT_NAMES].filter((name) => !output.includes(`"${name}"`));
    expect(missing).toEqual([]);
  });

  it('plays one transfer of a plan, and ends with 0 when all held', async () => {
    const run = await chaos('--seed', '1', '--only', '2');
    expect(run.output).toMatch(/^seed 1: 1 transfers, 0 DONE, 1 FAILED, .* 0 problems$/m);
    expect(run.code).toBe(0);
  });

  it('plans the same rounds of kills for a seed, with every phase in the first fourteen', async () => {
    const few = linesOf(await chaos('--kill', '--plan', '--seed', '7', '--rounds', '14'));
    const more = linesOf(await chaos('--kill', '--plan', '--seed', '7', '--rounds', '20'));
    expect(more.slice(0, 14)).toEqual(few);
    const phases = few
      .map((line) => (JSON.parse(line) as { phase?: string }).phase)
      .filter((phase) => phase !== undefined);
    expect(phases.toSorted()).toEqual(['commit', 'completing', 'create', 'parts', 'purge', 'row', 'verify']);
  });

  it('refuses a number that is none', async () => {
    expect(await chaos('--seed', 'x')).toMatchObject({ code: 2 });
  });
});
