import { describe, expect, test } from 'vitest';
import type { AllowedTool, ToolRow, ToolsAnswer } from '#contract/tools.ts';
import { daemonWithRun } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const row = (name: string, more: Partial<ToolRow> = {}): ToolRow => ({
  name,
  path: `/usr/bin/${name}`,
  binary: digest('b'),
  standing: 'new',
  ...more,
});
const node = row('node', { binary: digest('a'), version: '20.1.0', path: '/usr/local/bin/node' });
const answer = (items: ToolRow[], more: Partial<ToolsAnswer> = {}): ToolsAnswer => ({
  uid: 1000,
  growth: 'ask',
  image: { reference: 'node:20-alpine', id: digest('1') },
  measured: { at: '2026-01-01T00:00:00.000Z', list: digest('2'), left_out: 0, wrong: [] },
  items,
  ...more,
});
const line: AllowedTool = {
  name: 'node',
  version: '20.1.0',
  binary: digest('a'),
  image: digest('1'),
  at: '2026-01-01T00:00:00.000Z',
  request: 'q-1',
  by: [0],
};

async function run(args: string[], told: ToolsAnswer, tools: AllowedTool[] = []) {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('toolList', { json: told });
  daemon.answer('toolLists', { json: { lists: tools.length > 0 ? [{ uid: 1000, tools }] : [] } });
  const ran = orchestra(['tools', ...args], { cwd: dir.path, host: daemon.host });
  const code = await ran.code;
  return { code, out: ran.out(), err: ran.err() };
}

describe('what a daemon says of tools', () => {
  test('cannot steer a terminal', async () => {
    const evil = '\u001b]0;owned\u0007\u202egnp';
    const measured = { at: '', list: digest('2'), left_out: 0, wrong: [evil] };
    const told = answer([{ ...node, path: evil, version: evil }], {
      image: { reference: evil, id: digest('1') },
      measured,
    });
    for (const args of [['--all'], ['show', 'node'], ['export']]) {
      const { out, err } = await run(args, told, [{ ...line, version: evil, request: evil }]);
      expect(out).toContain('owned');
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      expect(out + err).not.toMatch(/[\u001b\u0007\u202e]/);
    }
  });

  test('of an image that could not be measured ends with 4 and says why', async () => {
    const told = answer([], { trouble: 'it did not end in time' });
    const { code, err } = await run([], told);
    expect(code).toBe(4);
    expect(err).toContain('it did not end in time');
  });

  test('names the programs that the image lies about', async () => {
    const measured = { at: '', list: digest('2'), left_out: 3, wrong: ['node'] };
    const { err } = await run([], answer([node], { measured }));
    expect(err).toContain('the image says of node what is not so; what was measured counts');
    expect(err).toContain('3 files were left out');
  });
});

test('a program that is nowhere is unknown', async () => {
  const { code, err } = await run(['show', 'ghost'], answer([node]));
  expect(code).toBe(1);
  expect(err).toContain('tool.unknown');
});

test.each(['-1', 'root', '1.5', '99999999999'])('--user %s is no user id', async (uid) => {
  expect((await run(['--user', uid], answer([node]))).code).toBe(1);
});

test('links to one small program are one line, but for sh and what is on the list', async () => {
  const box = row('busybox', { version: '1.35.0' });
  const links = ['awk', 'sh', 'env'].map((name) => row(name));
  const told = answer([box, ...links, row('cat', { standing: 'allowed' }), node]);
  const { out, err } = await run([], told);
  const names = out
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((each) => each.split(' ')[0]);
  expect(names).toEqual(['busybox', 'sh', 'cat', 'node']);
  expect(err).toContain('2 more without a version of their own');
  expect((await run(['--all'], told)).out.trimEnd().split('\n')).toHaveLength(7);
});

test('a list says what asks, and with growth off that nothing does', async () => {
  const told = [node, row('git', { version: '2.1', standing: 'changed' })];
  const { out } = await run([], answer(told));
  expect(out).toMatch(/node +20\.1\.0 +new: asks/);
  expect(out).toMatch(/git +2\.1 +changed: asks/);
  const off = await run([], answer(told, { growth: 'off' }));
  expect(off.out).not.toContain('asks');
  expect(off.err).toContain('tools_growth is off');
});

test('a program on the list is shown with who allowed it, and exported as YAML', async () => {
  const told = answer([{ ...node, standing: 'allowed' }]);
  const { out } = await run(['show', 'node'], told, [line]);
  expect(out).toContain('node 20.1.0  allowed');
  expect(out).toContain('allowed since 2026-01-01T00:00:00.000Z, by user 0, q-1');
  const { out: yaml } = await run(['export'], told, [line]);
  expect(yaml).toContain('---\nversion: 1\nuid: 1000\ntools:\n  - name: node\n');
});
