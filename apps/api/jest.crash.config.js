import config from './jest.config.js';

/** Tests that kill processes and judge how soon others go on: alone, because each of theirs wants a core. */
export default {
  ...config,
  testPathIgnorePatterns: [],
  testMatch: ['<rootDir>/test/crash/*.e2e-spec.ts'],
  maxWorkers: 1,
};
