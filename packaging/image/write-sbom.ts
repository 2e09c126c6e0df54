import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { folderSbom } from '../bundle/sbom.ts';
import { versionOf } from '../version.ts';

// node packaging/image/write-sbom.ts FILE, while the image is built: what is in it, as CycloneDX.
const root = path.resolve(import.meta.dirname, '../..');
const [file = 'sbom.cdx.json'] = process.argv.slice(2);
const seconds = Number(process.env['SOURCE_DATE_EPOCH'] ?? 0);
const made = new Date(seconds * 1000).toISOString();
const sbom = folderSbom({ root, version: versionOf(root), made });
writeFileSync(file, `${JSON.stringify(sbom, undefined, 1)}\n`);
