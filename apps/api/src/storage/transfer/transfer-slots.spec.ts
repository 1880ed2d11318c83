import { describe, expect, it } from '@jest/globals';
import { type Place, type SlotLimits, TransferSlots } from './transfer-slots.js';

/** A task that runs until it is told to end. */
function open(name: string, begun: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = () => {
    begun.push(name);
    return promise;
  };
  return { run, end: resolve };
}

/** Large where a test is about another one. */
const limitsOf = (limits: Partial<SlotLimits>): SlotLimits => ({
  all: 100,
  perHost: 100,
  perWorkspace: 100,
  aside: 100,
  ...limits,
});

const from = (host: string | null, workspaceId = 'any') => ({ workspaceId, host });

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('TransferSlots', () => {
  it('lets one host have its share, and another host begin meanwhile', async () => {
    const slots = new TransferSlots(limitsOf({ all: 4, perHost: 2 }));
    const begun: string[] = [];
    const slow = ['slow-1', 'slow-2', 'slow-3', 'slow-4', 'slow-5'].map((name) => open(name, begun));
    const ends = slow.map((task) => slots.run(from('slow.example'), task.run));
    const other = open('other', begun);
    ends.push(slots.run(from('other.example'), other.run));
    await settle();
    expect(begun).toEqual(['slow-1', 'slow-2', 'other']);
    slow[0]?.end();
    await settle();
    expect(begun).toEqual(['slow-1', 'slow-2', 'other', 'slow-3']);
    for (const task of [...slow, other]) task.end();
    await Promise.all(ends);
    expect(begun).toHaveLength(6);
  });

  it('keeps to the limit of the process over all hosts, first come, first served', async () => {
    const slots = new TransferSlots(limitsOf({ all: 2, perHost: 2 }));
    const begun: string[] = [];
    const tasks = ['a', 'b', 'c', 'd'].map((name) => open(name, begun));
    const ends = tasks.map((task, index) => slots.run(from(`${index}.example`), task.run));
    await settle();
    expect(begun).toEqual(['a', 'b']);
    for (const task of tasks) task.end();
    await Promise.all(ends);
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
  });

  it('gives a place back when a task fails', async () => {
    const slots = new TransferSlots(limitsOf({ all: 1, perHost: 1 }));
    const failing = slots.run(from('a.example'), () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    await expect(slots.run(from('a.example'), async () => 'next')).resolves.toBe('next');
  });

  it('gives the place of a transfer that stepped aside to the next, and lets both go on', async () => {
    const slots = new TransferSlots(limitsOf({ all: 1, perHost: 4, aside: 1 }));
    const begun: string[] = [];
    const slow = open('slow', begun);
    const places: Place[] = [];
    const ends = [
      slots.run(from('slow.example'), (place) => {
        places.push(place);
        return slow.run();
      }),
    ];
    const good = open('good', begun);
    ends.push(slots.run(from('good.example'), good.run));
    await settle();
    expect(begun).toEqual(['slow']);
    expect(places[0]?.stepAside()).toBe(true);
    await settle();
    expect(begun).toEqual(['slow', 'good']);
    expect([slots.freeCount, slots.slowCount]).toEqual([0, 1]);
    for (const task of [slow, good]) task.end();
    await Promise.all(ends);
    expect([slots.freeCount, slots.slowCount]).toEqual([1, 0]);
  });

  it('lets no more go on beside than may', async () => {
    const slots = new TransferSlots(limitsOf({ all: 2, perHost: 2, aside: 1 }));
    const places: Place[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const run = (place: Place) => {
      places.push(place);
      return promise;
    };
    const ends = [slots.run(from('a.example'), run), slots.run(from('b.example'), run)];
    await settle();
    expect(places.map((place) => place.stepAside())).toEqual([true, false]);
    expect([slots.freeCount, slots.slowCount]).toEqual([1, 1]);
    resolve();
    await Promise.all(ends);
  });

  it('begins transfers of a slow host beside the places, as long as it is known to be slow', async () => {
    const clock = { now: 0 };
    const slots = new TransferSlots(limitsOf({ all: 1, perHost: 4, aside: 1 }), () => clock.now);
    const begun: string[] = [];
    slots.markSlow('slow.example');
    const tasks = ['slow-1', 'slow-2', 'good'].map((name) => open(name, begun));
    const ends = tasks.map(({ run }, index) => slots.run(from(index < 2 ? 'slow.example' : 'good.example'), run));
    await settle();
    expect(begun).toEqual(['slow-1', 'good']);
    expect(slots.freePlaces()).toEqual(
      new Map([
        ['slow.example', 0], // One waits for room beside.
        ['good.example', 3],
      ]),
    );
    clock.now += 11 * 60_000;
    expect(slots.freePlaces().get('slow.example')).toBe(3);
    for (const { end } of tasks) end();
    await Promise.all(ends);
  });

  it('forgets that a host was slow once it is fast', async () => {
    const slots = new TransferSlots(limitsOf({ all: 1, perHost: 2, aside: 1 }));
    const { promise, resolve } = Promise.withResolvers<void>();
    slots.markSlow('a.example');
    const end = slots.run(from('a.example'), () => promise);
    await settle();
    expect(slots.freePlaces().get('a.example')).toBe(0);
    slots.markFast('a.example');
    expect(slots.freePlaces().get('a.example')).toBe(1);
    resolve();
    await end;
  });

  it('lets a transfer of a full workspace wait without a place of the process or of its host', async () => {
    const slots = new TransferSlots(limitsOf({ all: 3, perHost: 3, perWorkspace: 2 }));
    const begun: string[] = [];
    const tasks = ['crowd-1', 'crowd-2', 'crowd-3', 'other'].map((name) => open(name, begun));
    const ends = tasks.map(({ run }, index) => slots.run(from('a.example', index < 3 ? 'crowd' : 'other'), run));
    await settle();
    expect(begun).toEqual(['crowd-1', 'crowd-2', 'other']);
    tasks[3]?.end();
    await settle();
    expect(begun).toHaveLength(3);
    expect(slots.freeCount).toBe(1);
    expect(slots.freePlaces()).toEqual(new Map([['a.example', 1]]));
    expect(slots.freePlacesOfWorkspaces()).toEqual(new Map([['crowd', 0]]));
    for (const { end } of tasks) end();
    await Promise.all(ends);
    expect(begun).toEqual(['crowd-1', 'crowd-2', 'other', 'crowd-3']);
  });

  it.each([
    ['a host', limitsOf({ perHost: 2 })],
    ['the process', limitsOf({ all: 2 })],
    ['the process, where a workspace may have more than that', limitsOf({ all: 2, perWorkspace: 3 })],
    ['room beside', limitsOf({ aside: 2 })],
  ])(
    'gives a free place of %s to the workspace that holds fewest, and to the first come among equals',
    async (_what, limits) => {
      const slots = new TransferSlots(limits);
      if (limits.aside === 2) slots.markSlow('a.example');
      const begun: string[] = [];
      const names = ['crowd-1', 'crowd-2', 'crowd-3', 'crowd-4', 'first-1', 'second-1', 'first-2'];
      const tasks = names.map((name) => open(name, begun));
      const ends = tasks.map(({ run }, index) => slots.run(from('a.example', names[index]?.replace(/-\d/, '')), run));
      for (let endedCount = 0; endedCount < names.length; endedCount += 1) {
        await settle();
        tasks[names.indexOf(begun[endedCount] ?? '')]?.end();
      }
      await Promise.all(ends);
      expect(begun).toEqual(['crowd-1', 'crowd-2', 'first-1', 'crowd-3', 'second-1', 'crowd-4', 'first-2']);
    },
  );

  it('counts a transfer that stepped aside no more against its workspace, but against its host', async () => {
    const slots = new TransferSlots(limitsOf({ perHost: 2, perWorkspace: 1 }));
    const begun: string[] = [];
    const tasks = ['slow', 'same host', 'third of the host'].map((name) => open(name, begun));
    const places: Place[] = [];
    const ends = tasks.map(({ run }) =>
      slots.run(from('a.example'), (place) => {
        places.push(place);
        return run();
      }),
    );
    await settle();
    expect(begun).toEqual(['slow']);
    expect(places[0]?.stepAside()).toBe(true);
    await settle();
    expect(begun).toEqual(['slow', 'same host']);
    expect(places[1]?.stepAside()).toBe(true);
    await settle();
    expect(begun).toHaveLength(2);
    for (const { end } of tasks) end();
    await Promise.all(ends);
    expect([slots.freeCount, slots.freePlaces(), slots.freePlacesOfWorkspaces()]).toEqual([100, new Map(), new Map()]);
  });

  it('holds streams of this process to the number of their workspace, and lets none step aside', async () => {
    const slots = new TransferSlots(limitsOf({ perWorkspace: 1 }));
    const begun: string[] = [];
    const tasks = ['first', 'second'].map((name) => open(name, begun));
    const steps: boolean[] = [];
    const ends = tasks.map(({ run }) =>
      slots.run(from(null), (place) => {
        steps.push(place.stepAside());
        return run();
      }),
    );
    await settle();
    expect([begun, steps]).toEqual([['first'], [false]]);
    for (const { end } of tasks) end();
    await Promise.all(ends);
    expect(begun).toEqual(['first', 'second']);
  });
});
