/** Small files read at once: enough to hide the disk's latency, few enough for any limit of open files. */
const CONCURRENCY = 32;

/** Maps in order, with a bounded number of calls under way. */
export async function mapConcurrently<In, Out>(items: readonly In[], map: (item: In) => Promise<Out>): Promise<Out[]> {
  const results = new Array<Out>(items.length);
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < items.length) {
      const index = next;
      next += 1;
      results[index] = await map(items[index] as In);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, run));
  return results;
}
