import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const shipped = new URL('../../policies/default.yaml', import.meta.url);

/** The flags of a daemon whose tasks may print as much as `output` says; settings lie in `dir`. */
export function loudDaemon(dir: string, output: string): string[] {
  mkdirSync(join(dir, 'policies'), { recursive: true });
  const policy = readFileSync(shipped, 'utf8')
    .replace(/^name: .*/m, 'name: loud')
    .replace(/^ {2}output: \S+/m, `  output: ${output}`);
  writeFileSync(join(dir, 'policies/loud.yaml'), policy);
  const file = join(dir, 'config.yaml');
  const settings = { policies: join(dir, 'policies'), ceiling: 'loud', policy: 'loud' };
  writeFileSync(file, JSON.stringify(settings));
  return ['--config', file];
}
