import * as fs from 'node:fs';
import { join } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { OrchestraError } from '#contract/errors.ts';

const files = ['.gitignore', '.orchestraignore'] as const;
const bytesMax = 1 << 20;

// What earlier runs wrote into the directory would make every snapshot a new one.
const ourReports = `/runs/r-${'?'.repeat(10)}/`;

/** Whether that is the folder into which runs are written by default, and one was. */
export function holdsReports(directory: string, names: readonly string[]): boolean {
  return directory === 'runs' && names.some((name) => /^r-.{10}$/.test(name));
}

/**
 * What stays at home. `.git` does by default; then `.gitignore` and, after it and so stronger,
 * `.orchestraignore`, in every directory, the nearest one first, with negation. An ignored directory
 * is not looked into. Rules above the workspace, in `.git/info/exclude` and in a user's global
 * configuration are not read: a snapshot depends on nothing but the workspace.
 */
export class IgnoreRules {
  readonly #levels: readonly { prefix: string; rules: Ignore }[];

  private constructor(levels: readonly { prefix: string; rules: Ignore }[]) {
    this.#levels = levels;
  }

  static atRoot(workspace: string, names: readonly string[]): IgnoreRules {
    const rules = ignore({ ignorecase: false }).add(['.git', ourReports]);
    for (const text of texts(workspace, names)) rules.add(text);
    return new IgnoreRules([{ prefix: '', rules }]);
  }

  /** The rules inside a directory that is not ignored itself; `directory` is relative, `names` its content. */
  inside(workspace: string, directory: string, names: readonly string[]): IgnoreRules {
    const found = texts(join(workspace, directory), names);
    if (found.length === 0) return this;
    const rules = ignore({ ignorecase: false });
    for (const text of found) rules.add(text);
    return new IgnoreRules([{ prefix: `${directory}/`, rules }, ...this.#levels]);
  }

  ignores(path: string, isDirectory: boolean): boolean {
    for (const { prefix, rules } of this.#levels) {
      const within = path.slice(prefix.length) + (isDirectory ? '/' : '');
      const verdict = rules.test(within);
      if (verdict.ignored) return true;
      if (verdict.unignored) return false;
    }
    return false;
  }
}

function texts(directory: string, names: readonly string[]): string[] {
  const found: string[] = [];
  for (const file of files) {
    if (!names.includes(file)) continue;
    const path = join(directory, file);
    const stat = fs.lstatSync(path);
    if (!stat.isFile()) continue;
    if (stat.size > bytesMax) {
      throw new OrchestraError('workspace.invalid', `${path} has more than ${bytesMax} bytes`);
    }
    found.push(fs.readFileSync(path, 'utf8'));
  }
  return found;
}
