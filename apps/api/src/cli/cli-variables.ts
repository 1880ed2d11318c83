/** Variables that the commands read beside those of config/env.ts. */
export const CLI_VARIABLES = ['DATA_DIR', 'WEB_PORT'] as const;
