import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type CephSettings, formatCephConf, GATEWAY, MONITOR, monitorAddress, OSD } from './ceph-settings.js';
import { createSecret, formatKeyring } from './keyring.js';

/** Runs one of Ceph's commands and resolves to what it printed. */
export type RunCommand = (command: string, ...args: string[]) => Promise<string>;

export interface Cluster {
  readonly osdId: string;
  readonly osdUuid: string;
}

/**
 * Writes settings and keys, and makes the monitor's database. The monitor learns all keys from its own keyring, so none
 * has to be asked for later.
 */
export async function createCluster(settings: CephSettings, run: RunCommand): Promise<Cluster> {
  const { folder } = settings;
  const file = (name: string) => path.join(folder, name);
  const admin = { secret: createSecret(), capabilities: { mon: 'allow *', osd: 'allow *', mgr: 'allow *' } };
  const osd = { secret: createSecret(), capabilities: { mon: 'allow profile osd', osd: 'allow *' } };
  const gateway = { secret: createSecret(), capabilities: { mon: 'allow rw', osd: 'allow rwx' } };
  const monitor = { secret: createSecret(), capabilities: { mon: 'allow *' } };
  await Promise.all(['mon', 'osd', 'rgw'].map((name) => mkdir(file(name))));
  const entities = { 'mon.': monitor, 'client.admin': admin, [`osd.${OSD}`]: osd, [GATEWAY]: gateway };
  await Promise.all([
    writeFile(file('ceph.conf'), formatCephConf(settings)),
    writeFile(file('mon.keyring'), formatKeyring(entities)),
    writeFile(file('admin.keyring'), formatKeyring({ 'client.admin': admin })),
    writeFile(file('osd.keyring'), formatKeyring({ [`osd.${OSD}`]: osd })),
    writeFile(file('rgw.keyring'), formatKeyring({ [GATEWAY]: gateway })),
  ]);
  const map = file('monmap');
  const members = ['--addv', MONITOR, monitorAddress(settings.ports)];
  await run('monmaptool', '--create', '--fsid', settings.clusterId, ...members, map);
  await run('ceph-mon', '-i', MONITOR, '--mkfs', '--monmap', map, '--keyring', file('mon.keyring'));
  return { osdId: String(OSD), osdUuid: randomUUID() };
}
