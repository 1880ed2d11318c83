export { type CephOptions, startCeph } from './ceph/start-ceph.js';
export { installPackages } from './debian-packages.js';
export type { RealStore, RealStoreOptions } from './real-store.js';
export { type SwiftOptions, startSwift } from './swift/start-swift.js';
