import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '#test/support/temp-dir.ts';

const units = new URL('../../../packaging/systemd/', import.meta.url).pathname;
const names = readdirSync(units).filter((name) => /\.(?:service|socket)$/.test(name));
const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;
const read = (name: string) => readFileSync(join(units, name), 'utf8');

/** The units as they are, with a program that is there in place of the one that gets installed. */
async function copied() {
  const dir = await tempDir();
  for (const name of names) {
    writeFileSync(
      join(dir.path, name),
      read(name).replaceAll('/usr/lib/orchestra/bin/node', '/bin/true'),
    );
  }
  return dir;
}

const exposure = (file: string) =>
  Number(
    /level for \S+: ([\d.]+)/.exec(
      execFileSync('systemd-analyze', ['security', '--offline=true', file], { encoding: 'utf8' }),
    )?.[1],
  );

test.skipIf(!hasAnalyze)(
  'systemd finds nothing wrong in the units (needs systemd-analyze)',
  async () => {
    await using dir = await copied();
    const files = names.map((name) => join(dir.path, name));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...files], {
      encoding: 'utf8',
    });
    const ours = stderr.split('\n').filter((line) => /orchestra/.test(line));
    expect([status, ours]).toEqual([0, []]);
  },
);

test.skipIf(!hasAnalyze)(
  'the daemon as it is installed is exposed by 2.0 at most, its signer by 1.0 (needs systemd-analyze)',
  async () => {
    await using dir = await copied();
    expect(exposure(join(dir.path, 'orchestrad.service'))).toBeLessThanOrEqual(2);
    expect(exposure(join(dir.path, 'orchestra-signer.service'))).toBeLessThanOrEqual(1);
  },
);

test.skipIf(!hasAnalyze)(
  'every profile is in order, and the one for ready slots is known to be exposed more (needs systemd-analyze)',
  async () => {
    await using dir = await copied();
    const drop = join(dir.path, 'orchestrad.service.d');
    mkdirSync(drop);
    const levels = readdirSync(join(units, 'profiles')).map((profile) => {
      writeFileSync(join(drop, 'profile.conf'), read(`profiles/${profile}`));
      return [profile, exposure(join(dir.path, 'orchestrad.service')) <= 2];
    });
    expect(Object.fromEntries(levels)).toEqual({
      'no-internet.conf': true,
      'ready-slots.conf': false,
    });
  },
);

test('every hardening line of the units is explained to the operator', () => {
  const document = readFileSync(new URL('../../../docs/SERVICE.md', import.meta.url), 'utf8');
  const lines = names.flatMap((name) =>
    Array.from(read(name).matchAll(/^([A-Z][A-Za-z]+)=/gm), ([, key = '']) => key),
  );
  const everyday = new Set([
    'Description',
    'Documentation',
    'Requires',
    'After',
    'WantedBy',
    'Also',
    'Environment',
    'ExecStart',
  ]);
  const silent = [...new Set(lines)].filter(
    (key) => !everyday.has(key) && !document.includes(`\`${key}`),
  );
  expect(silent).toEqual([]);
});

test('the socket lies in no folder that goes away with the service', () => {
  expect(read('orchestrad.service')).not.toMatch(/^RuntimeDirectory=/m);
  expect(read('orchestra-signer.service')).not.toMatch(/^RuntimeDirectory=/m);
});

test('only the daemon may ask the signer, and only members of its group the daemon', () => {
  const modeOf = (name: string) =>
    /^SocketUser=(.+)\nSocketGroup=(.+)\nSocketMode=(.+)$/m.exec(read(name))?.slice(1);
  expect(modeOf('orchestra-signer.socket')).toEqual(['orchestra', 'root', '0600']);
  expect(modeOf('orchestrad.socket')).toEqual(['root', 'orchestra', '0660']);
});
