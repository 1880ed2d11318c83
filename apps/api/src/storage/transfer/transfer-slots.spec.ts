import { describe, expect, it } from '@jest/globals';
import { TransferSlots } from './transfer-slots.js';

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
});
