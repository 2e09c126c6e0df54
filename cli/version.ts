import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** `version` and `--version` alone, with at most `--json`: answered without loading anything. */
export function isVersionQuestion(args: readonly string[]): boolean {
  const words = args.filter((arg) => arg !== '--json');
  return words.length === 1 && (words[0] === 'version' || words[0] === '--version');
}

export function printVersion(out: { write(text: string): unknown }, json: boolean): void {
  const facts = { product: 'orchestra', version: productVersion(), node: process.version };
  out.write(
    json ? `${JSON.stringify(facts)}\n` : `orchestra ${facts.version} (node ${facts.node})\n`,
  );
  process.exitCode = 0;
}

/** The version in the package's own manifest, wherever a bundle has put this file. */
export function productVersion(): string {
  const manifest = path.join(packageRoot(), 'package.json');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/** The folder that holds the package: of the checkout, or of what was installed. */
export function packageRoot(): string {
  let dir = import.meta.dirname;
  while (!existsSync(path.join(dir, 'package.json'))) {
    const parent = path.dirname(dir);
    if (parent === dir) throw new Error('package.json of orchestra is missing');
    dir = parent;
  }
  return dir;
}
