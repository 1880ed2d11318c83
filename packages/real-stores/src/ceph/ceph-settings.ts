import { formatIni } from '../ini-file.js';

export interface CephPorts {
  readonly gateway: number;
  /** The monitor speaks two versions of Ceph's own protocol. */
  readonly monitorV1: number;
  readonly monitorV2: number;
}

export interface CephSettings {
  readonly folder: string;
  readonly ports: CephPorts;
  readonly clusterId: string;
  readonly objectStore: 'bluestore' | 'memstore';
  readonly capacityBytes: number;
  readonly completeLockSeconds: number;
  readonly lifecycleDaySeconds?: number;
}

export const MONITOR = 'a';
export const OSD = 0;
export const GATEWAY = 'client.rgw';

const GiB = 1024 ** 3;

/** ceph.conf of a cluster with one monitor, one disk and one gateway, all on 127.0.0.1 and all below one folder. */
export function formatCephConf(settings: CephSettings): string {
  const { folder, ports } = settings;
  return formatIni({
    global: {
      fsid: settings.clusterId,
      'mon host': monitorAddress(ports),
      'public addr': '127.0.0.1',
      'cluster addr': '127.0.0.1',
      'ms bind ipv6': false,
      keyring: `${folder}/admin.keyring`,
      'run dir': folder,
      'admin socket': '',
      'log file': `${folder}/$name.log`,
      'crash dir': folder,
      // One disk: one copy of everything, and few placement groups.
      'osd crush chooseleaf type': 0,
      'osd pool default size': 1,
      'osd pool default min size': 1,
      'osd pool default pg num': 4,
      'osd pool default pgp num': 4,
      'mon allow pool size one': true,
      'mon warn on pool no redundancy': false,
      'mon max pg per osd': 1000,
    },
    mon: {
      'mon data': `${folder}/mon`,
      keyring: `${folder}/mon.keyring`,
      'auth allow insecure global id reclaim': false,
      'mon data avail crit': 1,
      // Each new pool waits for several rounds of agreement, which is with nobody here; the default is 1 s for a round.
      'paxos propose interval': 0.05,
      'paxos min wait': 0.01,
    },
    osd: {
      'osd data': `${folder}/osd`,
      keyring: `${folder}/osd.keyring`,
      'osd objectstore': settings.objectStore,
      'osd memory target': GiB,
      'bluestore block size': settings.capacityBytes, // A sparse file.
      'bluestore fsck on mkfs': false,
      'memstore device bytes': settings.capacityBytes,
    },
    [GATEWAY]: {
      'rgw data': `${folder}/rgw`,
      keyring: `${folder}/rgw.keyring`,
      'rgw frontends': `beast endpoint=127.0.0.1:${ports.gateway}`,
      'rgw dns name': 'localhost',
      'rgw thread pool size': 64,
      'rgw override bucket index max shards': 1,
      'rgw enable usage log': false,
      'rgw mp lock max time': settings.completeLockSeconds,
      'rgw lc debug interval': settings.lifecycleDaySeconds,
    },
  });
}

export function monitorAddress({ monitorV1, monitorV2 }: CephPorts): string {
  return `[v2:127.0.0.1:${monitorV2}/0,v1:127.0.0.1:${monitorV1}/0]`;
}
