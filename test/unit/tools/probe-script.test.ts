import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { probeScript } from '#daemon/tools/advertised/probe-script.ts';
import { readProbe } from '#daemon/tools/advertised/read-probe.ts';
import { tempDir } from '#test/support/temp-dir.ts';

/** Two directories of PATH, what the script makes of them, in the shell of this machine. */
async function openImage() {
  const dir = await tempDir();
  const dirs = [join(dir.path, 'bin'), join(dir.path, 'sbin')];
  for (const one of dirs) mkdirSync(one);
  const claim = join(dir.path, 'tools.json');
  // With a claim nobody is asked for a version.
  writeFileSync(claim, '{}');
  const program = (name: string, text = '#!/bin/sh\n', mode = 0o755) =>
    writeFileSync(join(dirs[0] ?? '', name), text, { mode });
  const say = (options: { max?: number } = {}) => {
    const script = probeScript({ dirs, claim, scratch: join(dir.path, 'list'), ...options });
    const PATH = [...dirs, process.env['PATH']].join(':');
    const { stdout, status } = spawnSync('/bin/sh', ['-c', script], {
      env: { PATH },
      timeout: 120_000,
      maxBuffer: 64 * 1024 * 1024,
    });
    expect(status).toBe(0);
    return stdout.toString('utf8');
  };
  const measure = (options: { max?: number } = {}) => readProbe(say(options), dirs);
  return { ...dir, dirs, claim, program, measure, say };
}

describe('the script that measures leaves out', () => {
  test('names with control characters, blanks and other alphabets, and counts them', async () => {
    await using image = await openImage();
    for (const name of ['a b', 'a\nb', '\u001b[31m', 'n\u043ede', '$(id)', '`id`', '*', '-']) {
      image.program(name);
    }
    image.program('good');
    const probed = image.measure();
    expect(probed?.tools.map(({ name }) => name)).toEqual(['-', 'good']);
    expect(probed?.leftOut).toBe(7);
  });

  test('what is no program: folders, text, links to nowhere', async () => {
    await using image = await openImage();
    const [bin = ''] = image.dirs;
    mkdirSync(join(bin, 'folder'));
    symlinkSync('/nowhere', join(bin, 'dangling'));
    image.program('text', 'x', 0o644);
    expect(image.measure()).toMatchObject({ tools: [], leftOut: 0 });
  });

  test('what comes after the most that it looks at', async () => {
    await using image = await openImage();
    for (let i = 0; i < 40; i += 1) image.program(`t${i}`);
    const probed = image.measure({ max: 10 });
    expect(probed?.tools).toHaveLength(10);
    expect(probed?.leftOut).toBe(30);
  });
});

test('a program that floods when it is asked for its version does not take the measuring along', async () => {
  await using image = await openImage();
  rmSync(image.claim);
  image.program('node', '#!/bin/sh\nwhile :; do echo v1.2.3; done\n');
  const said = image.say();
  expect(said.length).toBeLessThan(20_000);
  expect(readProbe(said, image.dirs)?.tools).toMatchObject([{ name: 'node', version: '1.2.3' }]);
});

test('a link is measured as the file it leads to, and an image that claims another is found out', async () => {
  await using image = await openImage();
  const [bin = '', sbin = ''] = image.dirs;
  image.program('multi', 'content');
  symlinkSync('../bin/multi', join(sbin, 'applet'));
  const sha256 = hash('sha256', 'content', 'hex');
  const tools = [
    { name: 'multi', sha256, version: '1.0' },
    { name: 'applet', sha256: '0'.repeat(64), version: '2.0' },
  ];
  writeFileSync(image.claim, JSON.stringify({ version: 1, tools }));
  expect(image.measure()).toEqual({
    tools: [
      { name: 'applet', path: `${sbin}/applet`, binary: `sha256:${sha256}` },
      { name: 'multi', path: `${bin}/multi`, binary: `sha256:${sha256}`, version: '1.0' },
    ],
    leftOut: 0,
    wrong: ['applet'],
  });
});
