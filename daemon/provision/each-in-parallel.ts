/**
 * Runs `work` on every item, at most `max` at a time. The first failure keeps further items from
 * being started and is thrown once those that run have ended, so that nothing goes on behind the
 * caller's back.
 */
export async function eachInParallel<T>(
  items: readonly T[],
  max: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const rest = items.values();
  const failures: unknown[] = [];
  const worker = async () => {
    for (const item of rest) {
      if (failures.length > 0) return;
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(max, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
