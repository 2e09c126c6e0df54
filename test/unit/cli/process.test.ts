import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

function orchestra(args: readonly string[], options: { preload?: string } = {}) {
  const preload =
    options.preload === undefined ? [] : ['--import', `data:text/javascript,${options.preload}`];
  return spawnSync(process.execPath, [...preload, 'cli/main.ts', ...args], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
  });
}

test('version loads neither the parser nor the schemas', () => {
  const spy = encodeURIComponent(
    `import{registerHooks}from'node:module';registerHooks({load(u,c,n){if(u.startsWith('file:'))process.stderr.write(u+'\\n');return n(u,c)}})`,
  );
  const { stdout, stderr, status } = orchestra(['version'], { preload: spy });
  expect(status).toBe(0);
  expect(stdout).toMatch(/^orchestra \d+\.\d+\.\d+/);
  const loaded = stderr
    .split('\n')
    .filter((line) => line.includes('/cli/') || line.includes('node_modules'));
  expect(loaded.map((url) => url.split('/').at(-1))).toEqual(['main.ts', 'version.ts']);
});

test('help loads no schemas', () => {
  const spy = encodeURIComponent(
    `import{registerHooks}from'node:module';registerHooks({load(u,c,n){if(u.includes('/zod/'))process.stderr.write(u+'\\n');return n(u,c)}})`,
  );
  const { stderr, status } = orchestra(['--help'], { preload: spy });
  expect([status, stderr]).toEqual([0, '']);
});

test('an exception that nobody expected ends with 70 and says whose mistake it is', () => {
  const bomb = encodeURIComponent(`process.stdout.write=()=>{throw new Error('boom\\x1b[2J')}`);
  const { status, stderr } = orchestra(['completion', 'bash'], { preload: bomb });
  expect(status).toBe(70);
  expect(stderr).toContain('bug in Orchestra');
  expect(stderr).not.toContain('\u001b');
});

test('an exception outside of any command ends with 70 too', () => {
  const bomb = encodeURIComponent(
    `process.stdout.write=()=>setImmediate(()=>{throw new Error('boom\\x1b[2J')})`,
  );
  const { status, stderr } = orchestra(['completion', 'bash'], { preload: bomb });
  expect(status).toBe(70);
  expect(stderr).not.toContain('\u001b');
});

test('a reader that goes away is no error to talk about', () => {
  const command = '"$0" cli/main.ts completion bash | true';
  const { stderr } = spawnSync('sh', ['-c', command, process.execPath], { encoding: 'utf8' });
  expect(stderr).toBe('');
});
