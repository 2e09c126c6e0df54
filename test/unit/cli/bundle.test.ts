import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packBundle } from '#packaging/bundle/build.ts';
import { Sbom } from '#contract/sbom.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import {
  packageName,
  releaseKey,
  releasePem,
  sampleBundle,
  writeImage,
  writePackage,
  writeTar,
} from '#test/support/sample-bundle.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const hasDpkg = spawnSync('dpkg-deb', ['--version']).status === 0;

describe.skipIf(!hasDpkg)('orchestra bundle verify (needs dpkg-deb)', () => {
  let base: Awaited<ReturnType<typeof tempDir>>;
  let good: string;
  let key: string;
  let made = 0;

  beforeAll(async () => {
    base = await tempDir();
    good = join(base.path, 'good');
    key = join(base.path, 'key.pem');
    writeFileSync(key, releasePem);
    await sampleBundle(good);
  });
  afterAll(async () => {
    await base[Symbol.asyncDispose]();
  });

  const verified = async (target: string, ...more: string[]) => {
    const ran = orchestra(['--json', 'bundle', 'verify', target, ...more], { cwd: base.path });
    const code = await ran.code;
    return { code, ...(JSON.parse(ran.out()) as { verdict?: string; problems?: string[] }) };
  };
  const copied = () => {
    const dir = join(base.path, `copy-${(made += 1)}`);
    cpSync(good, dir, { recursive: true });
    return dir;
  };
  /** Somebody who has everything but the key puts the list in order again. */
  const listAnew = (dir: string, by = releaseKey.privateKey) => {
    const names = readdirSync(dir).filter((name) => !name.startsWith('SHA256SUMS'));
    const sum = (name: string) =>
      createHash('sha256')
        .update(readFileSync(join(dir, name)))
        .digest('hex');
    const text = names.map((name) => `${sum(name)}  ${name}\n`).join('');
    writeFileSync(join(dir, 'SHA256SUMS'), text);
    writeFileSync(join(dir, 'SHA256SUMS.sig'), sign(null, Buffer.from(text), by));
  };

  test.each([
    'INSTALL.md',
    'bundle.json',
    'image.tar',
    packageName,
    'sbom.cdx.json',
    'SHA256SUMS',
    'SHA256SUMS.sig',
  ])('a byte more in %s is told', async (name) => {
    const dir = copied();
    appendFileSync(join(dir, name), '\n');
    expect(await verified(dir, '--key', key)).toMatchObject({ code: 4, verdict: 'broken' });
  });

  test.each(['INSTALL.md', 'image.tar', 'sbom.cdx.json', packageName, 'SHA256SUMS'])(
    'that %s is missing is told',
    async (name) => {
      const dir = copied();
      rmSync(join(dir, name));
      expect(await verified(dir, '--key', key)).toMatchObject({ code: 4, verdict: 'broken' });
    },
  );

  test('a file that nobody listed is told', async () => {
    const dir = copied();
    writeFileSync(join(dir, 'install.sh'), 'curl | sh');
    const { code, problems } = await verified(dir, '--key', key);
    expect([code, problems]).toEqual([4, ['"install.sh" is not in the list']]);
  });

  test('a bundle that another key signed is not taken for one of yours, nor is one without a signature', async () => {
    const dir = copied();
    const other = generateKeyPairSync('ed25519');
    listAnew(dir, other.privateKey);
    writeFileSync(
      join(dir, 'SHA256SUMS.pem'),
      other.publicKey.export({ type: 'spki', format: 'pem' }),
    );
    expect(await verified(dir, '--key', key)).toMatchObject({ code: 4, verdict: 'broken' });
    for (const name of ['SHA256SUMS.sig', 'SHA256SUMS.pem']) rmSync(join(dir, name));
    expect(await verified(dir, '--key', key)).toMatchObject({
      code: 4,
      problems: ['it is not signed'],
    });
  });

  test('a script that root would run and that the SBOM does not know is told, even under a good signature', async () => {
    const dir = copied();
    writePackage(join(dir, packageName), 'another program\n');
    listAnew(dir);
    const { code, problems } = await verified(dir, '--key', key);
    expect([code, problems]).toEqual([
      4,
      ['"usr/bin/orchestra" of the package is not what is listed'],
    ]);
  });

  test('a component that is listed and not there, and a file that is there and not listed, are told', async () => {
    const dir = copied();
    const sbom = Sbom.parse(JSON.parse(readFileSync(join(dir, 'sbom.cdx.json'), 'utf8')));
    const files = sbom.components[0]?.components ?? [];
    const [first] = files;
    if (first !== undefined) files[0] = { ...first, name: 'DEBIAN/nothing' };
    writeFileSync(join(dir, 'sbom.cdx.json'), JSON.stringify(sbom));
    listAnew(dir);
    const { problems } = await verified(dir, '--key', key);
    expect(problems).toEqual([
      '"DEBIAN/control" of the package is not listed',
      '"DEBIAN/nothing" is listed and not in the package',
    ]);
  });

  test('another image than the one that is named is told, and one whose layers are not its own', async () => {
    const dir = copied();
    await writeImage(join(dir, 'image.tar'), Buffer.alloc(2048));
    listAnew(dir);
    const { problems = [] } = await verified(dir, '--key', key);
    expect(problems[0]).toMatch(/^the image is sha256:.* not the one that bundle\.json names$/);
    const lying = [{ Config: 'c.json', RepoTags: ['x:1'], Layers: ['layer.tar'] }];
    await writeTar(join(dir, 'image.tar'), [
      {
        name: 'c.json',
        content: JSON.stringify({ rootfs: { diff_ids: [`sha256:${'0'.repeat(64)}`] } }),
      },
      { name: 'layer.tar', content: 'x' },
      { name: 'manifest.json', content: JSON.stringify(lying) },
    ]);
    listAnew(dir);
    expect((await verified(dir, '--key', key)).problems).toEqual([
      'the image cannot be read: its layers are not those that its configuration names',
    ]);
  });

  test.each([
    ['leads outwards', { name: '../evil', content: 'x' }],
    ['is absolute', { name: '/etc/evil', content: 'x' }],
    ['lies in a folder', { name: 'a/b', content: 'x' }],
    ['is hidden', { name: '.bashrc', content: 'x' }],
    ['looks like an option', { name: '-rf', content: 'x' }],
    ['is a link', { name: 'evil', type: 'symlink' as const, linkname: '/etc/passwd' }],
    ['is a hard link', { name: 'evil', type: 'link' as const, linkname: '/etc/passwd' }],
    ['is a folder', { name: 'evil', type: 'directory' as const }],
    ['is a device', { name: 'evil', type: 'character-device' as const }],
    ['has a name for terminals', { name: 'x\u001b[2J', content: 'x' }],
    ['is there twice', { name: 'one', content: 'other' }],
  ])('a tar with an entry that %s is refused before it is unpacked', async (_what, entry) => {
    const tar = join(base.path, `hostile-${(made += 1)}.tar`);
    await writeTar(tar, [{ name: 'one', content: 'x' }, entry]);
    const ran = orchestra(['bundle', 'verify', tar], { cwd: base.path });
    expect(await ran.code).toBe(4);
    expect(ran.err()).toContain('bundle.broken');
    expect(ran.err()).not.toContain('\u001b[2J');
  });

  test('a tar of more files than a bundle has, one that says it is huge, and one that is none are refused', async () => {
    const tar = join(base.path, 'hostile.tar');
    await writeTar(
      tar,
      Array.from({ length: 17 }, (_, at) => ({ name: `f${at}`, content: 'x' })),
    );
    expect((await verified(tar)).code).toBe(4);
    const head = Buffer.alloc(1024);
    head.write('big');
    head.write('0000644\0', 100);
    head.write('77777777777\0', 124);
    head.write('ustar\0', 257);
    head.write('0', 156);
    head.fill(' ', 148, 156);
    const sum = head.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    writeFileSync(tar, head);
    const refused = await verified(tar);
    expect(refused.code).toBe(4);
    writeFileSync(tar, 'no tar at all, '.repeat(100));
    expect((await verified(tar)).code).toBe(4);
  });

  test('a folder with a link or a folder in it is refused', async () => {
    const linked = copied();
    rmSync(join(linked, 'INSTALL.md'));
    symlinkSync('/etc/passwd', join(linked, 'INSTALL.md'));
    expect((await verified(linked)).code).toBe(4);
    const deep = copied();
    mkdirSync(join(deep, 'more'));
    expect((await verified(deep)).code).toBe(4);
  });

  test.each([
    '',
    'x',
    `${'0'.repeat(64)}  ../x\n`,
    `${'0'.repeat(64)} *x\n`,
    `${'g'.repeat(64)}  x\n`,
  ])('a list of checksums that is none is told: %j', async (text) => {
    const dir = copied();
    writeFileSync(join(dir, 'SHA256SUMS'), text);
    expect(await verified(dir)).toMatchObject({ code: 4, verdict: 'broken' });
  });

  test('a sound bundle is verified with your key, as a file or a fingerprint, as a folder or a tar', async () => {
    const tar = await packBundle(good, 0);
    const spki = releaseKey.publicKey.export({ type: 'spki', format: 'der' });
    const fingerprint = `sha256:${createHash('sha256').update(spki).digest('hex')}`;
    for (const target of [good, tar]) {
      for (const said of [key, fingerprint]) {
        expect(await verified(target, '--key', said, '--strict')).toMatchObject({
          code: 0,
          verdict: 'verified',
          signedBy: fingerprint,
          files: { bundle: 8, package: 3 },
        });
      }
    }
  });

  test('without a key from elsewhere it is sound but incomplete, and broken for who is strict', async () => {
    expect(await verified(good)).toMatchObject({ code: 0, verdict: 'incomplete' });
    expect(await verified(good, '--strict')).toMatchObject({ code: 4, verdict: 'incomplete' });
    const unsigned = join(base.path, 'unsigned');
    await sampleBundle(unsigned, false);
    expect(await verified(unsigned)).toMatchObject({ code: 0, verdict: 'incomplete' });
  });

  test('the same parts make the same bundle, byte for byte, and sha256sum and openssl check it too', async () => {
    const again = join(base.path, 'again');
    await sampleBundle(again);
    for (const name of readdirSync(good)) {
      expect(readFileSync(join(again, name)).equals(readFileSync(join(good, name))), name).toBe(
        true,
      );
    }
    const summed = spawnSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: good });
    expect(summed.status).toBe(0);
    const args = '-verify -rawin -pubin -inkey ../key.pem -in SHA256SUMS -sigfile SHA256SUMS.sig';
    const checked = spawnSync('openssl', ['pkeyutl', ...args.split(' ')], { cwd: good });
    expect(checked.error === undefined ? checked.status : 0).toBe(0);
  });
});
