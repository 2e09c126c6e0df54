import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { commands, globalOptions, leaves } from '#cli/commands.ts';
import { exitMeanings, exitWords } from '#cli/exit-meanings.ts';
import { errorTable, exitCodes } from '#contract/errors.ts';
import { daemonWithRun } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

async function said(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  await using dir = await tempDir();
  const ran = orchestra(args, { cwd: dir.path });
  return { code: await ran.code, out: ran.out(), err: ran.err() };
}

test('help exit-codes explains every code that the contract can give, and no other', async () => {
  const { out } = await said('help', 'exit-codes');
  const shown = [...out.matchAll(/^ +(\d+) {2}/gm)].map(([, code]) => Number(code));
  expect(shown).toEqual(Object.values(exitCodes).toSorted((a, b) => a - b));
  const given = Object.values(errorTable).map(({ exit }) => exit);
  for (const code of given) {
    expect(exitMeanings).toHaveProperty(String(code));
    expect(exitWords).toHaveProperty(String(code));
  }
});

test.each([
  [['rnus'], 'Did you mean runs?'],
  [['audit', 'verfy'], 'Did you mean verify?'],
  [['runs', '--jsno'], 'Did you mean --json?'],
  [['run', '--polcy', 'x'], 'Did you mean --policy?'],
])('%j is refused with the word that was meant', async (args, hint) => {
  const { code, err, out } = await said(...args);
  expect(code).toBe(1);
  expect(err).toContain(hint);
  expect(out).toBe('');
});

test.each(leaves().map(({ words }) => words))('%s %s has help', async (...words) => {
  const named = words.filter((word) => typeof word === 'string');
  const { code, out } = await said(...named, '--help');
  expect(code).toBe(0);
  expect(out).toContain(`Usage: orchestra ${named.slice(0, -1).join(' ')}`.trimEnd());
  expect((await said('help', ...named)).out.trim()).toBe(out.trim());
});

test('one flag means the same wherever it stands', () => {
  const byFlag = new Map<string, string>();
  for (const option of [...globalOptions, ...leaves().flatMap(({ spec }) => spec.options ?? [])]) {
    const long = /--[\w-]+/.exec(option.flags)?.[0] ?? '';
    const values = JSON.stringify(option.values);
    expect(byFlag.get(long) ?? values).toBe(values);
    byFlag.set(long, values);
  }
});

test('the bash completion is a script that completes commands, flags and values', async () => {
  const { out } = await said('completion', 'bash');
  const complete = (words: string[]) =>
    execFileSync('bash', [
      '-c',
      `${out}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_orchestra; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ])
      .toString()
      .trim()
      .split('\n');
  expect(complete(['orchestra', 'ru'])).toEqual(['run', 'runs']);
  expect(complete(['orchestra', 'audit', 've'])).toEqual(['verify']);
  expect(complete(['orchestra', 'run', '--output', 'p'])).toEqual(['plain']);
  expect(complete(['orchestra', 'diff', '@l'])).toContain('@last');
  expect(complete(['orchestra', 'logs', '--fo'])).toEqual(['--follow']);
});

test.each(['zsh', 'fish'])('the %s completion names every command', async (shell) => {
  const { out } = await said('completion', shell);
  for (const { name } of commands) expect(out).toContain(name);
});

test('doctor works without a daemon and gives every problem a remedy', async () => {
  await using dir = await tempDir();
  const ran = orchestra(['doctor', '--json'], {
    cwd: dir.path,
    host: `unix://${dir.path}/none.sock`,
    env: { DOCKER_HOST: `unix://${dir.path}/no-engine.sock` },
  });
  expect(await ran.code).toBe(1);
  const { checks, exit_code } = JSON.parse(ran.out()) as {
    exit_code: number;
    checks: { name: string; status: string; remedy?: string }[];
  };
  expect(exit_code).toBe(1);
  const problems = checks.filter((check) => check.status === 'problem');
  expect(problems.map((check) => check.name)).toEqual(expect.arrayContaining(['daemon', 'engine']));
  for (const problem of problems) expect(problem.remedy).toBeTruthy();
});

test("doctor tells the daemon's own checks and ends with 1 for one problem among them", async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const checks = [{ name: 'disk', status: 'problem', message: 'full', remedy: 'make room' }];
  daemon.answer('doctor', { json: { checks } });
  const ran = orchestra(['doctor'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(1);
  expect(ran.out()).toContain('full  → make room');
});

test('config show tells where each setting comes from', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const ran = orchestra(['config', 'show', '--origin'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).toMatch(/host +unix:.* ORCHESTRA_HOST/);
});
