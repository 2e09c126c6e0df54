import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { SbomComponent } from '#contract/sbom.ts';

/** The identifiers of SPDX that our dependencies use; CycloneDX takes only those of SPDX's list. */
const spdx = new Set([
  '0BSD',
  'Apache-2.0',
  'Artistic-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC-BY-3.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Python-2.0',
  'Unlicense',
  'Zlib',
]);

/** What the package in this folder says of its licence; undefined where it says nothing. */
export function licencesOf(folder: string): SbomComponent['licenses'] {
  const { license } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    license?: unknown;
  };
  if (typeof license !== 'string' || license === '') return undefined;
  if (spdx.has(license)) return [{ license: { id: license } }];
  return / (?:OR|AND|WITH) /.test(license)
    ? [{ expression: license }]
    : [{ license: { name: license } }];
}
