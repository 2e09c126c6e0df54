import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fixedValue, isReserved } from '#daemon/tools/environment.ts';
import { expand, findTool, neededProgram, toolNames } from '#daemon/tools/index.ts';

const judge = (tool: string, ...args: string[]) => findTool(tool)?.judge(args) ?? ['no such tool'];

test('names that objects inherit are not tools', () => {
  for (const name of ['constructor', '__proto__', 'toString']) {
    expect(findTool(name)).toBeUndefined();
    expect(expand({ tool: name, args: [] })).toBeUndefined();
  }
});

test.each([
  [['publish'], 'registry'],
  [['login'], 'registry'],
  [['config', 'set', 'registry', 'x'], 'settings'],
  [['install', 'left-pad'], 'lockfile'],
  [['frobnicate'], 'not a command'],
  [['--prefix', '/etc', 'ci'], 'comes first'],
  [['ci', '--prefix=/etc'], 'prefix'],
  [['ci', '--pref', 'x'], 'prefix'],
  [['ci', '-g'], 'outside'],
  [['ci', '--glob'], 'global'],
  [['ci', '--registry=http://x'], 'registry'],
  [['ci', '--@scope:registry=http://x'], 'registry'],
  [['ci', '--//host/:_authToken=x'], 'registry'],
  [['ci', '--offline=false'], 'network'],
  [['ci', '--no-offline'], 'no-offline'],
  [['ci', '--cache=/tmp/x'], 'cache'],
  [['run', 'build', '--script-shell=/tmp/x'], 'script-shell'],
  [[], 'needs a command'],
])('npm %j is refused', (args, word) => {
  expect(judge('npm', ...args).join(' ')).toContain(word);
});

test('what belongs to the script is not judged as an option of npm', () => {
  expect(judge('npm', 'run', 'build', '--', '--prefix=/etc', '-g')).toEqual([]);
  expect(judge('npx', 'tsc', '-p', '.')).toEqual([]);
  expect(judge('node', 'a.js', '--inspect')).toEqual([]);
});

test('node without a script, an inspector or a file of variables is refused', () => {
  expect(judge('node')).toHaveLength(1);
  expect(judge('node', '--inspect-brk=0.0.0.0', 'a.js')).toHaveLength(1);
  expect(judge('node', '--env-file=.env', 'a.js')).toHaveLength(1);
});

test('npx never fetches', () => {
  expect(judge('npx', '--package=x', 'x')).toHaveLength(1);
  expect(judge('npx', '-p', 'x', 'x')).toHaveLength(1);
  expect(expand({ tool: 'npx', args: ['tsc'] })?.command).toEqual([
    'npx',
    '--no',
    '--offline',
    'tsc',
  ]);
});

test('exec needs a program', () => {
  expect(judge('exec')).toHaveLength(1);
  expect(judge('exec', ' ')).toHaveLength(1);
  expect(judge('exec', '-x')).toHaveLength(1);
  expect(neededProgram({ tool: 'exec', args: ['tar', 'x'] })).toBe('tar');
  expect(neededProgram({ tool: 'exec', args: ['./run.sh'] })).toBeUndefined();
});

test('every way to install is offline and asks for packages', () => {
  for (const command of ['ci', 'install', 'i', 'clean-install', 'install-ci-test']) {
    const expanded = expand({ tool: 'npm', args: [command, '--ignore-scripts'] });
    expect(expanded?.command.slice(0, 3)).toEqual(['npm', command, '--offline']);
    expect(expanded?.command.at(-1)).toBe('--ignore-scripts');
    expect(expanded?.provisions).toEqual(['npm']);
  }
  expect(expand({ tool: 'npm', args: ['test'] })).toEqual({
    command: ['npm', 'test'],
    env: {},
    provisions: [],
  });
});

test('arguments reach the command as they are, one by one', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...toolNames),
      fc.array(fc.string(), { minLength: 1 }),
      (tool, args) => {
        const command = expand({ tool, args })?.command ?? [];
        expect(command.slice(command.length - args.length + 1)).toEqual(args.slice(1));
        expect(command).toContain(args[0]);
      },
    ),
  );
});

test('what a tool sets itself no plan can set', () => {
  expect(isReserved('PATH')).toBe(true);
  expect(isReserved('LD_PRELOAD')).toBe(true);
  expect(isReserved('NPM_CONFIG_REGISTRY')).toBe(true);
  expect(isReserved('CI')).toBe(false);
  for (const tool of ['cargo', 'go']) {
    for (const [name, value] of Object.entries(expand({ tool, args: ['build'] })?.env ?? {})) {
      expect(isReserved(name)).toBe(true);
      expect(fixedValue(name)).toBe(value);
    }
  }
  expect(fixedValue('constructor')).toBeUndefined();
});
