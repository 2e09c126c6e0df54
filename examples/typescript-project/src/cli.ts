import { readFileSync } from 'node:fs';
import { Table, toMarkdown } from './index.js';

// node dist/cli.js FILE.csv [SORT-COLUMN]: prints the file as a markdown table.
const [file, sort] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write('usage: cli FILE.csv [SORT-COLUMN]\n');
  process.exitCode = 1;
} else {
  const table = Table.fromCsv(readFileSync(file, 'utf8'));
  process.stdout.write(toMarkdown(sort === undefined ? table : table.sortBy(sort)));
}
