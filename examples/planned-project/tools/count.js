import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { countBy, readRequests } from './requests.js';

const [field, input, output] = process.argv.slice(2);
const counts = countBy(readRequests(input), field);
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, JSON.stringify(counts, null, 2) + '\n');
console.log(`${counts.length} values of ${field}`);
