import preset from '../../jest.preset.js';

export default {
  ...preset,
  // Tests wait for sockets and limits more than they compute; Jest itself would leave one core free.
  maxWorkers: '100%',
  // They run by themselves: jest.crash.config.js.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/crash/'],
  moduleNameMapper: {
    // The code of test/guide names files of src without `.js`, as the guide prints it; nothing else does.
    '^\\.{1,2}/(storage/[\\w-]+\\.(?:module|service))$': '<rootDir>/src/$1',
    '^\\./(recording\\.repository)$': '<rootDir>/src/recordings/$1',
    ...preset.moduleNameMapper,
  },
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
};
