import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lay } from '#test/support/audit-fuzz.ts';
import { SignedLog } from '#test/support/signed-log.ts';

const root = new URL('../..', import.meta.url).pathname;

test('the packed verifier checks a copied log with nothing but itself', () => {
  const dir = mkdtempSync(join(tmpdir(), 'orc-verifier-'));
  try {
    execFileSync('npm', ['pack', '--pack-destination', dir], {
      cwd: join(root, 'verifier'),
      stdio: 'pipe',
    });
    const [tarball = ''] = readdirSync(dir).filter((name) => name.endsWith('.tgz'));
    execFileSync('tar', ['-xzf', tarball], { cwd: dir });
    const said = JSON.parse(readFileSync(join(dir, 'package/package.json'), 'utf8')) as object;
    expect(said).not.toHaveProperty('dependencies');
    const log = new SignedLog();
    lay(join(dir, 'log'), { files: log.files() });
    const verify = (...args: string[]) => {
      const options = { cwd: dir, encoding: 'utf8', env: {} } as const;
      return spawnSync(process.execPath, ['package/dist/orchestra-verify.mjs', ...args], options);
    };
    expect(verify('log', '--key', log.vkey)).toMatchObject({ status: 0, stderr: '' });
    expect(verify('log')).toMatchObject({ status: 3 });
    const script = 'package/python/orchestra_verify.py';
    const python = spawnSync('python3', ['-I', script, 'log', '--key', log.vkey], { cwd: dir });
    expect(python.status).toBe(0);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
