import { randomUUID } from 'node:crypto';
import { formatIni, type Settings } from '../ini-file.js';

export interface SwiftPorts {
  readonly proxy: number;
  readonly account: number;
  readonly container: number;
  readonly object: number;
  readonly memcached: number;
}

export interface SwiftSettings {
  readonly folder: string;
  readonly ports: SwiftPorts;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly maxParts: number;
  readonly corsOrigin?: string;
}

const STORAGE_SERVERS = ['account', 'container', 'object'] as const;

/** Filters in the order that the s3api documentation of Swift 2.30 asks for; s3api turns S3 calls into calls of the ones behind it. */
const PROXY_PIPELINE = [
  ...['catch_errors', 'gatekeeper', 'healthcheck', 'proxy-logging', 'cache', 'listing_formats', 'bulk', 'tempurl'],
  ...['s3api', 'tempauth', 'copy', 'container-quotas', 'account-quotas', 'slo', 'dlo', 'versioned_writes', 'symlink'],
];

/** Names of the settings files and what stands in them. */
export function swiftFiles(settings: SwiftSettings): Record<string, string> {
  const { folder, ports } = settings;
  // Without workers a server is one process: less memory, and kill -9 hits all of it.
  const server = (port: number): Settings => ({
    bind_ip: '127.0.0.1',
    bind_port: port,
    workers: 0,
    user: 'root',
    swift_dir: folder,
    log_level: 'WARNING',
  });
  const files: Record<string, string> = {
    'swift.conf': formatIni({
      'swift-hash': { swift_hash_path_prefix: randomUUID(), swift_hash_path_suffix: randomUUID() },
      'storage-policy:0': { name: 'default', default: 'yes' },
    }),
    'proxy-server.conf': formatIni({
      DEFAULT: server(ports.proxy),
      'pipeline:main': { pipeline: [...PROXY_PIPELINE, 'proxy-server'].join(' ') },
      'app:proxy-server': { use: 'egg:swift#proxy', account_autocreate: true, allow_account_management: true },
      ...Object.fromEntries(PROXY_PIPELINE.map((name) => [`filter:${name}`, filter(name, settings)])),
    }),
  };
  for (const name of STORAGE_SERVERS) {
    files[`${name}-server.conf`] = formatIni({
      // One folder stands for the one disk: it is no mount point.
      DEFAULT: { ...server(ports[name]), devices: `${folder}/devices`, mount_check: false, disable_fallocate: true },
      'pipeline:main': { pipeline: `${name}-server` },
      [`app:${name}-server`]: { use: `egg:swift#${name}` },
    });
  }
  return files;
}

function filter(name: string, settings: SwiftSettings): Settings {
  switch (name) {
    case 's3api':
      return {
        use: 'egg:swift#s3api',
        location: settings.region,
        storage_domain: 'localhost',
        max_upload_part_num: settings.maxParts,
        s3_acl: false,
        cors_preflight_allow_origin: settings.corsOrigin,
      };
    case 'tempauth': {
      // An access key is `account:user` there, and the setting's name holds the two with _ between them.
      const user = settings.accessKeyId.replace(':', '_');
      return { use: 'egg:swift#tempauth', [`user_${user}`]: `${settings.secretAccessKey} .admin` };
    }
    case 'cache':
      return { use: 'egg:swift#memcache', memcache_servers: `127.0.0.1:${settings.ports.memcached}` };
    case 'versioned_writes':
      return { use: 'egg:swift#versioned_writes', allow_versioned_writes: true, allow_object_versioning: true };
    default:
      return { use: `egg:swift#${name.replaceAll('-', '_')}` };
  }
}
