import { realpathSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join } from 'node:path';

/**
 * Where the machine's own npm and the Node beside it lie, by the search path: their folders decide
 * which built-in and global npmrc count. Nothing where there is no npm; then only the user's does.
 */
export function findNpm(env: Readonly<Record<string, string | undefined>>): {
  npmPath?: string;
  execPath?: string;
} {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    if (!isAbsolute(folder)) continue;
    try {
      const script = realpathSync(join(folder, 'npm'));
      if (!script.endsWith('/bin/npm-cli.js')) continue;
      return { npmPath: dirname(dirname(script)), execPath: join(folder, 'node') };
    } catch {
      // Not in this folder.
    }
  }
  return {};
}
