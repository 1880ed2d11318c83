// Jest as everywhere, but for PostgreSQL: main.js starts one for all runs and names it in the environment.
import config from '../../jest.config.js';

export default {
  ...config,
  rootDir: '../..',
  globalSetup: null,
  globalTeardown: null,
};
