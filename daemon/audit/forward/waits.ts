const firstMs = 500;
const longestMs = 60_000;
const askedMs = 60 * 60_000;

/**
 * How long to leave a receiver alone after so many failures in a row: twice as long each time, a
 * minute at most, and between half and all of it by chance, so that forwarders of many daemons do
 * not come back in one moment. Longer where the receiver asked for it, an hour at most.
 */
export function waitMs(
  failures: number,
  { asked, random }: { asked?: number | undefined; random: () => number },
): number {
  const full = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 20));
  const wait = full / 2 + (full / 2) * random();
  return Math.round(Math.max(wait, Math.min(asked ?? 0, askedMs)));
}
