import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [input, output] = process.argv.slice(2);
const read = (name) => JSON.parse(readFileSync(join(input, `${name}.json`), 'utf8'));
const [hosts, statuses, slowest] = ['by-host', 'by-status', 'slowest'].map(read);
const total = hosts.reduce((sum, { count }) => sum + count, 0);

const rows = (counts) =>
  counts.map(
    ({ value, count }) => `| ${value} | ${count} | ${((100 * count) / total).toFixed(1)} % |`,
  );
const page = [
  `# ${total} requests`,
  '',
  '| host | requests | share |',
  '| --- | ---: | ---: |',
  ...rows(hosts),
  '',
  '| status | requests | share |',
  '| --- | ---: | ---: |',
  ...rows(statuses),
  '',
  ...slowest.map(({ path, p95 }) => `- \`${path}\`: 95 % within ${p95} ms`),
  '',
];
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, page.join('\n'));
console.log(`report on ${total} requests written`);
