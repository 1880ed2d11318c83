import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { HostLookup, type Resolve } from './host-lookup.js';

const DEADLINE_MS = 5_000;

/** A resolver whose answers come when a test gives them. */
function createResolver() {
  const asked: string[] = [];
  const waiting = new Map<string, { answer: (addresses: string[]) => void; fail: (error: Error) => void }>();
  const resolve: Resolve = (hostname) => {
    asked.push(hostname);
    return new Promise((answer, fail) => waiting.set(hostname, { answer, fail }));
  };
  const of = (hostname: string) => {
    const question = waiting.get(hostname);
    if (question === undefined) throw new Error(`${hostname} was not asked`);
    return question;
  };
  return { asked, resolve, of };
}

const unreachable = { code: 'SOURCE_UNREACHABLE', message: 'source host name cannot be resolved' };

describe('HostLookup', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('asks for as many names at once as it may, and for the next when one is answered', async () => {
    const { asked, resolve, of } = createResolver();
    const lookup = new HostLookup({ resolve, lookupConcurrency: 2 });
    const found = ['a.example', 'b.example', 'c.example'].map((hostname) => lookup.findAddresses(hostname));
    await jest.advanceTimersByTimeAsync(0);
    expect(asked).toEqual(['a.example', 'b.example']);
    of('b.example').answer(['192.0.2.2']);
    await expect(found[1]).resolves.toEqual(['192.0.2.2']);
    await jest.advanceTimersByTimeAsync(0);
    of('c.example').answer(['192.0.2.3']);
    of('a.example').answer(['192.0.2.1']);
    await expect(Promise.all(found)).resolves.toEqual([['192.0.2.1'], ['192.0.2.2'], ['192.0.2.3']]);
  });

  it('asks one at a time unless told otherwise', async () => {
    const { asked, resolve, of } = createResolver();
    const lookup = new HostLookup({ resolve });
    const found = ['a.example', 'b.example'].map((hostname) => lookup.findAddresses(hostname));
    await jest.advanceTimersByTimeAsync(0);
    expect(asked).toEqual(['a.example']);
    of('a.example').answer([]);
    await jest.advanceTimersByTimeAsync(0);
    of('b.example').answer([]);
    await Promise.all(found);
  });

  it('gives up after its deadline, and keeps the turn taken as long as the resolver does', async () => {
    const { asked, resolve, of } = createResolver();
    const lookup = new HostLookup({ resolve });
    const silent = expect(lookup.findAddresses('silent.example')).rejects.toMatchObject(unreachable);
    const behind = expect(lookup.findAddresses('behind.example')).rejects.toMatchObject(unreachable);
    await jest.advanceTimersByTimeAsync(DEADLINE_MS);
    await silent;
    await behind;
    const again = expect(lookup.findAddresses('silent.example')).rejects.toMatchObject(unreachable);
    const next = lookup.findAddresses('next.example');
    await jest.advanceTimersByTimeAsync(DEADLINE_MS - 1);
    expect(asked).toEqual(['silent.example']);
    of('silent.example').fail(Object.assign(new Error('queryA'), { code: 'EAI_AGAIN' }));
    await again;
    await jest.advanceTimersByTimeAsync(0);
    // Nobody waits for behind.example any more: its turn goes to the next.
    expect(asked).toEqual(['silent.example', 'next.example']);
    of('next.example').answer(['192.0.2.1']);
    await expect(next).resolves.toEqual(['192.0.2.1']);
  });

  it('asks again once a name was answered', async () => {
    const answers = [['192.0.2.1'], ['192.0.2.2']];
    const lookup = new HostLookup({ resolve: async () => answers.shift() ?? [] });
    expect(await lookup.findAddresses('a.example')).toEqual(['192.0.2.1']);
    expect(await lookup.findAddresses('a.example')).toEqual(['192.0.2.2']);
  });

  it('says of a name that does not exist what it says of one that is refused', async () => {
    const error = Object.assign(new Error('getaddrinfo ENOTFOUND db.corp.example'), { code: 'ENOTFOUND' });
    const lookup = new HostLookup({ resolve: () => Promise.reject(error) });
    await expect(lookup.findAddresses('db.corp.example')).rejects.toMatchObject({
      code: 'SOURCE_ADDRESS_BLOCKED',
      message: 'source address not allowed',
      cause: { message: 'host db.corp.example does not exist', cause: error },
    });
  });

  it('says that name servers gave no answer', async () => {
    const error = Object.assign(new Error('getaddrinfo EAI_AGAIN a.example'), { code: 'EAI_AGAIN' });
    const lookup = new HostLookup({ resolve: () => Promise.reject(error) });
    await expect(lookup.findAddresses('a.example')).rejects.toMatchObject({ ...unreachable, cause: error });
  });
});
