export { type LocalS3, type LocalS3Options, startLocalS3 } from './server.js';
export { type LocalS3Process, spawnLocalS3 } from './spawn.js';
