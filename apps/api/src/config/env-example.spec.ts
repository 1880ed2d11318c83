import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { CLI_VARIABLES } from '../cli/cli-variables.js';
import { ENVIRONMENT_VARIABLES, readEnvironment } from './env.js';

const example = readFileSync(new URL('../../../../.env.example', import.meta.url), 'utf8');

describe('.env.example', () => {
  it('names every variable that is read, and no other', () => {
    expect(Object.keys(parseEnv(example)).sort()).toEqual([...ENVIRONMENT_VARIABLES, ...CLI_VARIABLES].sort());
  });

  it('explains each variable in the line above it', () => {
    const lines = example.split('\n');
    const unexplained = lines.filter(
      (line, index) => /^[A-Z0-9_]+=/.test(line) && !/^# \S/.test(lines[index - 1] ?? ''),
    );
    expect(unexplained).toEqual([]);
  });

  it('changes nothing when it is copied as it stands', () => {
    const needed = { DATABASE_URL: 'postgresql://app@127.0.0.1/app', AUTH_JWT_SECRET: 's'.repeat(32) };
    expect(readEnvironment({ ...(parseEnv(example) as NodeJS.ProcessEnv), ...needed })).toEqual(
      readEnvironment(needed),
    );
  });
});
