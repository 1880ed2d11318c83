import { describe, expect, it } from '@jest/globals';
import { type Logger, type LoggerOptions, pino } from 'pino';
import { readEnvironment } from '../config/env.js';
import { toLoggerOptions } from './logger-options.js';

/** What the app's logger writes while `log` runs, line by line. */
function capture(log: (logger: Logger) => void): Record<string, unknown>[] {
  const lines: string[] = [];
  const { pinoHttp } = toLoggerOptions(
    readEnvironment({
      DATABASE_URL: 'postgresql://api:canary-database-password@localhost/api',
      AUTH_JWT_SECRET: 'canary-jwt-secret-canary-jwt-secret',
    }),
  );
  log(pino(pinoHttp as LoggerOptions, { write: (line: string) => lines.push(line) }));
  expect(lines.join()).not.toContain('canary');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the log', () => {
  it('writes bigints as strings of digits, however deep', () => {
    const size = 2n ** 53n + 1n;
    const [line] = capture((logger) => logger.info({ size, file: { parts: [{ size }] } }, 'stored'));
    expect(line).toMatchObject({ size: '9007199254740993', file: { parts: [{ size: '9007199254740993' }] } });
  });

  it("keeps the error that Nest's Logger gives after the message", () => {
    const [line] = capture((logger) => logger.error({ context: 'A' }, 'Transfer failed: 1', new TypeError('no')));
    expect(line).toMatchObject({ context: 'A', msg: 'Transfer failed: 1', err: { type: 'TypeError', message: 'no' } });
  });

  it('shows of an error and its causes the named fields alone, without secrets', () => {
    const cause = Object.assign(new Error('GET https://u:canary@h/v?x=canary'), {
      code: 'ECONNRESET',
      $response: { headers: { authorization: 'canary' } },
    });
    const error = new Error('token=canary failed', { cause });
    const [line] = capture((logger) => logger.error({ err: error }));
    expect(line?.err).toEqual({
      type: 'Error',
      message: 'token=[redacted] failed',
      stack: expect.stringContaining('Error: token=[redacted] failed\n    at '),
      cause: {
        type: 'Error',
        code: 'ECONNRESET',
        message: 'GET https://[redacted]@h/v?[redacted]',
        stack: expect.any(String),
      },
    });
  });

  it('ends where an error is its own cause', () => {
    const error = new Error('round');
    error.cause = error;
    const [line] = capture((logger) => logger.error({ err: error }));
    expect(JSON.stringify(line).match(/"message":"round"/g)).toHaveLength(6);
  });

  it('takes what is thrown and no error', () => {
    const [line] = capture((logger) => logger.error({ err: 'sig=canary' }));
    expect(line?.err).toEqual({ type: 'string', message: 'sig=[redacted]' });
  });

  it('takes out the secrets of its own environment wherever they stand', () => {
    const [line] = capture((logger) =>
      logger.info({ a: { b: 'xcanary-jwt-secret-canary-jwt-secretx' } }, 'canary-database-password'),
    );
    expect(line).toMatchObject({ a: { b: 'x[redacted]x' }, msg: '[redacted]' });
  });
});
