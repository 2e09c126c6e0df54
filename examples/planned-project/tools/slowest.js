import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { percentile, readRequests } from './requests.js';

const [input, output] = process.argv.slice(2);
const byPath = new Map();
for (const { path, ms } of readRequests(input)) {
  if (!byPath.has(path)) byPath.set(path, []);
  byPath.get(path).push(ms);
}
const slowest = [...byPath]
  .map(([path, times]) => ({ path, p95: percentile(times, 0.95) }))
  .sort((a, b) => b.p95 - a.p95)
  .slice(0, Number(process.env.TOP ?? 3));
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, JSON.stringify(slowest, null, 2) + '\n');
console.log(`slowest: ${slowest[0].path} with ${slowest[0].p95} ms`);
