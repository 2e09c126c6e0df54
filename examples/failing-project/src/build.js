import { cpSync, mkdirSync } from 'node:fs';

mkdirSync('dist', { recursive: true });
cpSync('src/price.js', 'dist/price.js');
console.log('dist/price.js written');
