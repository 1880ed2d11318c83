import { describe, expect, it } from '@jest/globals';
import { type Place, TransferSlots } from './transfer-slots.js';

/** A task that runs until it is told to end. */
function open(name: string, begun: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = () => {
    begun.push(name);
    return promise;
  };
  return { run, end: resolve };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('TransferSlots', () => {
  it('lets one host have its share, and another host begin meanwhile', async () => {
    const slots = new TransferSlots(4, 2);
    const begun: string[] = [];
    const slow = ['slow-1', 'slow-2', 'slow-3', 'slow-4', 'slow-5'].map((name) => open(name, begun));
    const ends = slow.map((task) => slots.run('slow.example', task.run));
    const other = open('other', begun);
    ends.push(slots.run('other.example', other.run));
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
    const slots = new TransferSlots(2, 2);
    const begun: string[] = [];
    const tasks = ['a', 'b', 'c', 'd'].map((name) => open(name, begun));
    const ends = tasks.map((task, index) => slots.run(`${index}.example`, task.run));
    await settle();
    expect(begun).toEqual(['a', 'b']);
    for (const task of tasks) task.end();
    await Promise.all(ends);
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
  });

  it('gives a place back when a task fails', async () => {
    const slots = new TransferSlots(1, 1);
    const failing = slots.run('a.example', () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    await expect(slots.run('a.example', async () => 'next')).resolves.toBe('next');
  });

  it('gives the place of a transfer that stepped aside to the next, and lets both go on', async () => {
    const slots = new TransferSlots(1, 4, 1);
    const begun: string[] = [];
    const slow = open('slow', begun);
    const places: Place[] = [];
    const ends = [
      slots.run('slow.example', (place) => {
        places.push(place);
        return slow.run();
      }),
    ];
    const good = open('good', begun);
    ends.push(slots.run('good.example', good.run));
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
    const slots = new TransferSlots(2, 2, 1);
    const places: Place[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const run = (place: Place) => {
      places.push(place);
      return promise;
    };
    const ends = [slots.run('a.example', run), slots.run('b.example', run)];
    await settle();
    expect(places.map((place) => place.stepAside())).toEqual([true, false]);
    expect(slots.freeCount).toBe(0);
    await settle();
    expect([slots.freeCount, slots.slowCount]).toEqual([1, 1]);
    resolve();
    await Promise.all(ends);
  });

  it('begins transfers of a slow host beside the places, as long as it is known to be slow', async () => {
    const clock = { now: 0 };
    const slots = new TransferSlots(1, 4, 1, () => clock.now);
    const begun: string[] = [];
    slots.markSlow('slow.example');
    const tasks = ['slow-1', 'slow-2', 'good'].map((name) => open(name, begun));
    const ends = tasks.map(({ run }, index) => slots.run(index < 2 ? 'slow.example' : 'good.example', run));
    await settle();
    expect(begun).toEqual(['slow-1', 'good']);
    expect(slots.freePlaces()).toEqual(
      new Map([
        ['slow.example', -1], // One waits for room beside.
        ['good.example', 3],
      ]),
    );
    clock.now += 11 * 60_000;
    expect(slots.freePlaces().get('slow.example')).toBe(2);
    for (const { end } of tasks) end();
    await Promise.all(ends);
  });

  it('forgets that a host was slow once it is fast', async () => {
    const slots = new TransferSlots(1, 2, 1);
    const { promise, resolve } = Promise.withResolvers<void>();
    slots.markSlow('a.example');
    const end = slots.run('a.example', () => promise);
    await settle();
    expect(slots.freePlaces().get('a.example')).toBe(0);
    slots.markFast('a.example');
    expect(slots.freePlaces().get('a.example')).toBe(1);
    resolve();
    await end;
  });
});
