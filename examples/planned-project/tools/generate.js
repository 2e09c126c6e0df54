import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

// node tools/generate.js COUNT FILE: requests as tab-separated host, path, status, milliseconds.
const [count, file] = process.argv.slice(2);
const hosts = ['ant', 'bee', 'cicada', 'dragonfly'];
const paths = ['/', '/login', '/search', '/basket', '/pay', '/help', '/admin'];

// A small generator with a fixed seed, so that every run of the plan gives the same bytes.
let seed = 42;
const next = (below) => (seed = (seed * 48271) % 2147483647) % below;

const lines = Array.from({ length: Number(count) }, () => {
  const path = paths[next(paths.length)];
  const status = next(50) === 0 ? 500 : next(20) === 0 ? 404 : 200;
  return [hosts[next(hosts.length)], path, status, 5 + next(40) + path.length * next(30)].join(
    '\t',
  );
});
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, lines.join('\n') + '\n');
console.log(`${lines.length} requests written to ${file}`);
