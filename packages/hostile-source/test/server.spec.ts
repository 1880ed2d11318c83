import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  BEHAVIOUR_NAMES,
  BEHAVIOURS,
  contentRange,
  fileOf,
  type HostileSource,
  startHostileSource,
} from '../src/index.js';
import { askRaw, openSocket, type RawRequest, type Received } from './support/raw-client.js';

let source: HostileSource;
beforeAll(async () => {
  source = await startHostileSource();
});
afterAll(() => source.close());

function ask(url: string, request: Omit<RawRequest, 'certificate'> = {}): Promise<Received> {
  return askRaw(url, { ...request, certificate: source.certificate });
}

describe('startHostileSource', () => {
  it('logs what each request asked for and what it was sent', async () => {
    const url = source.urlOf('cut-every-n-bytes');
    const before = Date.now();
    await ask(url, { headers: { Range: 'bytes=50000-', 'If-Range': '"1-300000"', 'X-Canary': 'yes' } });
    await ask(url, { method: 'HEAD' });
    const [first, second] = source.requestsOf(url);
    expect(first).toMatchObject({
      behaviour: 'cut-every-n-bytes',
      listener: 'http',
      method: 'GET',
      range: 'bytes=50000-',
      ifRange: '"1-300000"',
      headerNames: ['host', 'connection', 'range', 'if-range', 'x-canary'],
      status: 206,
      bodyBytes: 100_000,
      isOver: true,
    });
    expect(first?.atMs).toBeGreaterThanOrEqual(before);
    expect(second).toMatchObject({ method: 'HEAD', range: undefined, status: 200, bodyBytes: 0 });
    expect(second?.connectionId).not.toBe(first?.connectionId);
  });

  it('keeps what it remembers apart by the id of the URL', async () => {
    const [first, second] = [source.urlOf('status-503-twice'), source.urlOf('status-503-twice')];
    for (const status of [503, 503, 200]) expect((await ask(first)).status).toBe(status);
    expect((await ask(second)).status).toBe(503);
    const again = source.urlOf('status-503-twice', { times: 0 }, { id: 'again' });
    expect(again).toBe(source.urlOf('status-503-twice', { times: 0 }, { id: 'again' }));
    expect((await ask(again)).status).toBe(200);
  });

  it('takes parameters by name and refuses those that the behaviour does not know', async () => {
    const url = source.urlOf('honest-etag', { sizeBytes: 1000, seed: 9 });
    expect(fileOf(url)).toEqual({ sizeBytes: 1000, seed: 9 });
    expect((await ask(url)).body.equals(contentRange(fileOf(url), 0, 1000))).toBe(true);
    expect(() => source.urlOf('honest-etag', { cutAfterBytes: 5 })).toThrow('honest-etag does not take cutAfterBytes');
  });

  it('ignores what it does not know in a query, and refuses paths without a behaviour', async () => {
    expect((await ask(`${source.urlOf('honest-etag')}&X-Signature=abc`)).status).toBe(200);
    expect((await ask(`${source.httpUrl}/no-such-behaviour/1/video.mp4`)).status).toBe(404);
    expect((await ask(`${source.httpUrl}/constructor/1/video.mp4`)).status).toBe(404);
    expect((await ask(`${source.httpUrl}//[`)).status).toBe(404);
  });

  it('serves several requests on one connection', async () => {
    const url = source.urlOf('honest-etag', { sizeBytes: 100 });
    const accepted = source.acceptedConnections;
    const target = new URL(url);
    const socket = openSocket(target, source.certificate);
    socket.write(`GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(3));
    await source.requestsArrived(url, 3);
    socket.destroy();
    expect(source.acceptedConnections).toBe(accepted + 1);
    expect(new Set(source.requestsOf(url).map(({ connectionId }) => connectionId)).size).toBe(1);
  });

  it('counts connections and tells which ones the client closed', async () => {
    await source.connectionsClosed();
    expect(source.openConnections).toBe(0);
    const closedByPeer = source.connectionsClosedByPeer;
    const urls = [source.urlOf('stall-in-body'), source.urlOf('stall-before-head'), source.urlOf('stall-in-body')];
    const sockets = urls.map((url) => {
      const target = new URL(url);
      const socket = openSocket(target, source.certificate);
      socket.write(`GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: a\r\n\r\n`);
      return socket;
    });
    for (const url of urls) await source.requestsArrived(url, 1);
    expect(source.openConnections).toBe(3);
    expect(source.peakConnections).toBeGreaterThanOrEqual(3);
    sockets[0]?.destroy();
    sockets[1]?.resetAndDestroy();
    sockets[2]?.end();
    await source.connectionsClosed();
    expect(source.connectionsClosedByPeer).toBe(closedByPeer + 3);
    expect(urls.every((url) => source.requestsOf(url).every(({ isOver }) => isOver))).toBe(true);
    await ask(source.urlOf('cut-once-by-fin'));
    await source.connectionsClosed();
    expect(source.connectionsClosedByPeer).toBe(closedByPeer + 3);
  });

  it('breaks running answers when it is closed', async () => {
    const other = await startHostileSource();
    const target = new URL(other.urlOf('stall-in-body'));
    const socket = openSocket(target, other.certificate);
    socket.write(`GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await other.requestsArrived(target.href, 1);
    socket.resume().on('error', () => {});
    await Promise.all([once(socket, 'close'), other.close()]);
    expect(other.openConnections).toBe(0);
  });

  it('takes the port it is told and fails when it is taken', async () => {
    const port = Number(new URL(source.httpUrl).port);
    await expect(startHostileSource({ httpPort: port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('limits the rate of a connection over its answers', async () => {
    const url = source.urlOf('rate-per-connection', { sizeBytes: 50_000, bytesPerSecond: 1_000_000 });
    const startedMs = performance.now();
    const target = new URL(url);
    const socket = openSocket(target, source.certificate);
    socket.write(`GET ${target.pathname}${target.search} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(2));
    socket.resume();
    while (source.requestsOf(url).filter(({ isOver }) => isOver).length < 2) await once(socket, 'data');
    socket.destroy();
    expect(performance.now() - startedMs).toBeGreaterThan(80);
  });
});

/** Ports whose connections come to no request. */
const BROKEN_LISTENERS: string[] = [
  'httpsExpired',
  'httpsWrongName',
  'httpsUnknownIssuer',
  'httpsReset',
  'httpsStall',
  'httpsPlain',
];
const ANSWERING = BEHAVIOUR_NAMES.filter((name) => !BROKEN_LISTENERS.includes(BEHAVIOURS[name].listener));

describe('every behaviour', () => {
  it('sends no body to HEAD', async () => {
    const bodies = await Promise.all(
      ANSWERING.map(async (name) => {
        const url = source.urlOf(name);
        await ask(url, { method: 'HEAD', patienceMs: 500, enoughBytes: 100_000 });
        return source.requestsOf(url).map(({ bodyBytes }) => [name, bodyBytes]);
      }),
    );
    expect(bodies.flat().filter(([name, bodyBytes]) => bodyBytes !== 0 && name !== 'body-without-head')).toEqual([]);
  });

  it.each([0, 1, 20, 100_000])('copes with a file of %d bytes, with and without ranges', async (sizeBytes) => {
    const other = await startHostileSource();
    const urls = ANSWERING.map((name) => other.urlOf(name, { sizeBytes }));
    for (const range of ['bytes=0-', 'bytes=1-', 'bytes=-1', undefined]) {
      const headers: Record<string, string> = range === undefined ? {} : { Range: range };
      await Promise.all(
        urls.map((url) =>
          askRaw(url, { headers, certificate: other.certificate, patienceMs: 200, enoughBytes: 1_000_000 }),
        ),
      );
    }
    for (const url of urls) await other.requestsArrived(url, 1);
    // Rejects when a script has failed.
    await other.close();
  });
});
