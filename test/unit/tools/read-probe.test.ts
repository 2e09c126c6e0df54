import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AdvertisedTool } from '#contract/tools.ts';
import { findProgram } from '#daemon/tools/advertised/find-program.ts';
import { programDirs, programsMax } from '#daemon/tools/advertised/probe-script.ts';
import { readProbe } from '#daemon/tools/advertised/read-probe.ts';

const hex = (digit: string) => digit.repeat(64);
const lines = (...all: string[]) => `${all.join('\n')}\n`;
const node = ['p /usr/local/bin/node /usr/local/bin/node', `h ${hex('a')}  /usr/local/bin/node`];
const claims = (tools: unknown) => `c ${JSON.stringify({ version: 1, tools })}`;

describe('an image that lies', () => {
  test('about a digest is told what was measured, and its version does not count', () => {
    const claim = claims([{ name: 'node', sha256: hex('b'), version: '99.0.0' }]);
    const probed = readProbe(lines(...node, 'm', claim));
    expect(probed?.tools).toEqual([
      { name: 'node', path: '/usr/local/bin/node', binary: `sha256:${hex('a')}` },
    ]);
    expect(probed?.wrong).toEqual(['node']);
  });

  test('about a program that it does not have does not get one', () => {
    const claim = claims([{ name: 'ghost', sha256: hex('b'), version: '1.0' }]);
    expect(readProbe(lines(...node, 'm', claim))).toMatchObject({
      tools: [{ name: 'node' }],
      wrong: ['ghost'],
    });
  });

  test.each([
    ['no JSON', 'c {'],
    ['another version', 'c {"version":2,"tools":[]}'],
    ['a list of nothing', 'c {"version":1,"tools":[null]}'],
    ['a name with a way out', claims([{ name: '../x', sha256: hex('b') }])],
    ['a prototype', 'c {"version":1,"tools":[],"__proto__":{"tools":[{"name":"x"}]}}'],
  ])('with %s says nothing', (_what, claim) => {
    expect(readProbe(lines(...node, 'm', claim))).toMatchObject({
      tools: [{ name: 'node' }],
      wrong: [],
    });
  });

  test('about a digest twice is taken by its first word', () => {
    const probed = readProbe(lines(...node, `h ${hex('c')}  /usr/local/bin/node`, 'm'));
    expect(probed?.tools[0]?.binary).toBe(`sha256:${hex('a')}`);
  });

  test('that does not come to its end was not measured', () => {
    expect(readProbe(lines(...node))).toBeUndefined();
    expect(readProbe('')).toBeUndefined();
  });
});

describe('what is no program', () => {
  test.each([
    ['a way out of its directory', 'p /usr/local/bin/../../../x /x'],
    ['a name that is a way out', 'p /usr/local/bin/.. /x'],
    ['a control character', 'p /usr/local/bin/a\u001b[31mb /x'],
    ['a word too many', 'p /usr/local/bin/a /x /y'],
    ['another directory', 'p /workspace/a /x'],
    ['no absolute file', 'p /usr/local/bin/a x'],
    ['a name that is too long', `p /usr/local/bin/${'a'.repeat(65)} /x`],
    ['letters that look like others', 'p /usr/local/bin/n\u043ede /x'],
  ])('with %s is left out and counted', (_what, line) => {
    const probed = readProbe(lines(line, ...node, 'm'));
    expect(probed?.tools.map(({ name }) => name)).toEqual(['node']);
    expect(probed?.leftOut).toBe(1);
  });

  test('without a digest is left out and counted', () => {
    const probed = readProbe(lines('p /usr/bin/secret /usr/bin/secret', 'x 3', ...node, 'm'));
    expect(probed?.tools.map(({ name }) => name)).toEqual(['node']);
    expect(probed?.leftOut).toBe(4);
  });

  test('of 10,000 programs, as many as are looked at stay, and the rest is counted', () => {
    const all = Array.from({ length: 10_000 }, (_, i) => `p /usr/bin/t${i} /bin/busybox`);
    const probed = readProbe(lines(...all, `h ${hex('d')}  /bin/busybox`, 'm'));
    expect(probed?.tools).toHaveLength(programsMax);
    expect(probed?.leftOut).toBe(10_000 - programsMax);
  });
});

test('a name that is there twice is the one that a shell finds', () => {
  const probed = readProbe(
    lines('p /bin/node /bin/busybox', `h ${hex('d')}  /bin/busybox`, ...node, 'm'),
  );
  expect(probed?.tools).toMatchObject([
    { path: '/usr/local/bin/node', binary: `sha256:${hex('a')}` },
  ]);
});

test.each([
  ['v20.20.2', '20.20.2'],
  ['BusyBox v1.35.0 (Debian 1:1.35.0-4+b7) multi-call binary.', '1.35.0'],
  ['openjdk version "17.0.9" 2023-10-17', '17.0.9'],
  ['go version go1.22.1 linux/amd64', '1.22.1'],
  ['\u001b]0;owned\u0007 1.2.3-beta.4', '1.2.3-beta.4'],
  ['approved by root', undefined],
  ['', undefined],
])('of the words %j nothing is taken but the number', (said, version) => {
  expect(readProbe(lines(...node, 'm', `v node ${said}`))?.tools[0]?.version).toBe(version);
});

test('of a claim that is right the version counts, and not what the program says', () => {
  const claim = claims([{ name: 'node', sha256: hex('a'), version: '20.20.2' }]);
  const probed = readProbe(lines(...node, 'm', claim, 'v node v1.1.1'));
  expect(probed).toMatchObject({ tools: [{ version: '20.20.2' }], wrong: [] });
});

test('whatever an image prints, what comes out is a list of programs in PATH', () => {
  const word = fc.oneof(
    fc.constantFrom('p', 'h', 'x', 'c', 'v', 'm', ...programDirs, '/bin/a', hex('a'), '__proto__'),
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
  const line = fc.array(word, { maxLength: 4 }).map((words) => words.join(' '));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), (said) => {
      const { tools = [] } = readProbe(`${said.join('\n')}\nm\n`) ?? {};
      for (const tool of tools) {
        expect(AdvertisedTool.safeParse(tool).success).toBe(true);
        expect(programDirs.some((dir) => tool.path === `${dir}/${tool.name}`)).toBe(true);
      }
      expect(new Set(tools.map(({ name }) => name)).size).toBe(tools.length);
    }),
  );
});

describe('the program of a command', () => {
  const tools = readProbe(lines(...node, 'm'))?.tools ?? [];

  test.each([[['./node']], [['bin/node']], [['/workspace/node']], [['nodejs']], [['']], [[]]])(
    '%j is not of the image',
    (command) => {
      expect(findProgram(command, tools)).toBeUndefined();
    },
  );

  test.each([[['node', 'x.js']], [['/usr/local/bin/node']]])('%j is', (command) => {
    expect(findProgram(command, tools)?.name).toBe('node');
  });
});
