import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withLock } from '#setup/lock.ts';

const lockModules = {
  'the lock of the TypeScript half': {
    file: fileURLToPath(new URL('../../../setup/lock.ts', import.meta.url)),
    call: (file: string, body: string) =>
      `withLock(${JSON.stringify(file)}, async () => { ${body} }, { onWait: () => {} })`,
    name: 'withLock',
  },
  'the lock of the plain half': {
    file: fileURLToPath(new URL('../../../setup/pid-lock.mjs', import.meta.url)),
    call: (file: string, body: string) =>
      `withPidLock(${JSON.stringify(file)}, { onWait: () => {} }, async () => { ${body} })`,
    name: 'withPidLock',
  },
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe.each(Object.entries(lockModules))('%s', (_title, lock) => {
  const script = (body: string) =>
    `import { setTimeout as sleep } from 'node:timers/promises';
     import fs from 'node:fs';
     const { ${lock.name} } = await import(${JSON.stringify(lock.file)});
     await ${lock.call(path.join(dir, 'lock'), body)};`;
  const start = (body: string) =>
    spawn(process.execPath, ['--input-type=module', '-e', script(body)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });

  test('lets one process in at a time', async () => {
    const log = path.join(dir, 'log');
    const body = `fs.appendFileSync(${JSON.stringify(log)}, '<');
      await sleep(30);
      fs.appendFileSync(${JSON.stringify(log)}, '>');`;
    const exits = await Promise.all(
      Array.from({ length: 4 }, async () => (await once(start(body), 'exit'))[0] as number),
    );
    expect(exits).toEqual([0, 0, 0, 0]);
    expect(readFileSync(log, 'utf8')).toBe('<><><><>');
  });

  test('is free again when its holder was killed', async () => {
    const holder = start(`console.log('held'); await sleep(600_000);`);
    await once(holder.stdout, 'data');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const [code] = (await once(start(''), 'exit')) as [number];
    expect(code).toBe(0);
  });
});

test('a lock file that names a living process of another time is taken over', async () => {
  const { file, name, call } = lockModules['the lock of the plain half'];
  writeFileSync(path.join(dir, 'lock'), `${process.pid} 1`);
  const code = `const { ${name} } = await import(${JSON.stringify(file)});
    await ${call(path.join(dir, 'lock'), '')};`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
  expect((await once(child, 'exit'))[0]).toBe(0);
});

test('whoever waits too long is told so', async () => {
  const file = path.join(dir, 'lock');
  await withLock(file, async () => {
    await expect(withLock(file, async () => sleep(0), { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'daemon.busy',
    });
  });
});

test('a lock is free again after its work failed', async () => {
  const file = path.join(dir, 'lock');
  await expect(withLock(file, () => Promise.reject(new Error('boom')))).rejects.toThrow('boom');
  await expect(withLock(file, () => Promise.resolve('in'))).resolves.toBe('in');
});
