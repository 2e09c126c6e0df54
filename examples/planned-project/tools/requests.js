import { readFileSync } from 'node:fs';

/** Reads tab-separated requests; a line that is not one is an error with its number. */
export function parseRequests(text) {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => {
      const [host, path, status, ms, ...rest] = line.split('\t');
      if (rest.length > 0 || !/^\d{3}$/.test(status) || !/^\d+$/.test(ms)) {
        throw new Error(`line ${i + 1} is not a request`);
      }
      return { host, path, status: Number(status), ms: Number(ms) };
    });
}

export const readRequests = (file) => parseRequests(readFileSync(file, 'utf8'));

/** How often each value of one field occurs, most frequent first. */
export function countBy(requests, field) {
  const counts = new Map();
  for (const request of requests) {
    counts.set(request[field], (counts.get(request[field]) ?? 0) + 1);
  }
  return [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
}

/** The value below which `share` of the sorted numbers lie (nearest rank). */
export function percentile(numbers, share) {
  if (numbers.length === 0) throw new RangeError('a percentile of nothing');
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
