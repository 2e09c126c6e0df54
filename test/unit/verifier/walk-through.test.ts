import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tarOf } from '#test/support/audit-mutations.ts';
import { SignedLog } from '#test/support/signed-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const root = new URL('../../..', import.meta.url).pathname;
const document = readFileSync(join(root, 'docs/AUDIT.md'), 'utf8');
const chapter = document.slice(
  document.indexOf('## Walk-through for an outsider'),
  document.indexOf('## Provenance of what was built'),
);
const blocks = Array.from(
  chapter.matchAll(/```(sh|text)\n([\s\S]*?)```\n/g),
  ([, kind, text = '']) => ({ kind, text }),
);

function bash(script: string, cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile('bash', ['-s'], { cwd }, (error, out, err) =>
      error === null && err === '' ? resolve(out) : reject(new Error(`${out}${err}`)),
    );
    child.stdin?.end(script);
  });
}

test(
  'an outsider with the document, Python and openssl verifies a run and finds ten tamperings',
  { timeout: 120_000 },
  async () => {
    await using dir = await tempDir();
    const log = new SignedLog();
    await writeFile(join(dir.path, 'run.tar'), tarOf(log.bundle('r-a1')));
    await writeFile(join(dir.path, 'vkey'), `${log.vkey}\n`);
    const script = blocks.filter(({ kind }) => kind === 'sh').map(({ text }) => text);
    const said = blocks.filter(({ kind }) => kind === 'text').map(({ text }) => text);
    expect(await bash(script.join('\n'), dir.path)).toBe(said.join(''));
    expect(said.filter((text) => !text.startsWith('verified'))).toHaveLength(10);
  },
);
