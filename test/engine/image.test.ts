import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { describeImage } from '#setup/image/description.ts';
import { buildImage, listImages, type SandboxImage } from '#setup/image/images.ts';
import { defaultPaths } from '#setup/paths.ts';
import { prepare } from '#setup/prepare.ts';
import { runContainer, type Ran } from './container.ts';

const description = describeImage();
let host: string;
let image: SandboxImage;

beforeAll(async () => {
  const ready = await prepare(process.env, () => {});
  host = ready.engine.host;
  image = ready.image;
});

/** As strict as a task: nothing to write to, no right, no network, the image's user. */
async function strictly(script: string, mounts: object[] = []): Promise<Ran> {
  return runContainer(host, {
    Image: image.id,
    User: `${description.user.uid}:${description.user.gid}`,
    Cmd: ['sh', '-c', script],
    HostConfig: {
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: 512 * 1024 * 1024,
      PidsLimit: 64,
      Tmpfs: { '/tmp': 'size=64m,mode=1777' },
      Mounts: mounts,
    },
  });
}

describe('the sandbox image, in a container as strict as a task', () => {
  test('has every tool and applet that its description promises', async () => {
    const names = [...description.tools, ...description.applets];
    const list = names.map((name) => `'${name}'`).join(' ');
    const missing = await strictly(
      `for t in ${list}; do command -v "$t" >/dev/null || echo "$t"; done`,
    );
    expect(missing).toEqual({ code: 0, output: '' });
  });

  test('runs Node and npm of the promised versions', async () => {
    const { code, output } = await strictly('node --version && npm --version && npx --version');
    expect(code).toBe(0);
    const { node, npm } = description.versions;
    const [nodeLine, ...npmLines] = output.trim().split(/\s+/);
    expect(nodeLine).toMatch(new RegExp(`^v${node}\\.`));
    expect(npmLines.map((line) => line.split('.')[0])).toEqual([npm, npm]);
  });

  test('knows its user by name, with a home that is theirs', async () => {
    const { uid, gid, name, home } = description.user;
    const { output } = await strictly('id -u; id -g; whoami; stat -c %u "$HOME"; echo "$HOME"');
    expect(output.trim().split(/\s+/)).toEqual([uid, gid, name, uid, home].map(String));
  });

  test('holds certificates that OpenSSL reads', async () => {
    const { code, output } = await strictly(
      `node -e "
        const pem = require('fs').readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8');
        const all = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
        for (const one of all) new (require('crypto').X509Certificate)(one);
        console.log(all.length)"`,
    );
    expect(code).toBe(0);
    expect(Number(output)).toBeGreaterThan(100);
  });

  test('says the libc that its origin promises', async () => {
    const { output } = await strictly(
      `node -p "process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'"`,
    );
    expect(output.trim()).toBe(image.libc);
    expect(image.libc).toBe(description.libc[image.origin]);
  });

  test('gives the init a place and lets tmp be written', async () => {
    const { code } = await strictly('echo x > /tmp/x && test "$(cat /tmp/x)" = x && cd /tmp');
    expect(code).toBe(0);
  });

  // The bundler that vitest brings; its native half asks for more of libc than node itself does.
  const suffix = { glibc: 'gnu', musl: 'musl' };
  const bindingIn = (libc: 'glibc' | 'musl') => {
    const name = `binding-linux-${process.arch}-${suffix[libc]}`;
    const url = new URL(`../../node_modules/@rolldown/${name}`, import.meta.url);
    return {
      dir: fileURLToPath(url),
      file: `rolldown-${name}.node`.replace('binding-', 'binding.'),
    };
  };

  test('loads a native module of a real project', async (context) => {
    const { dir, file } = bindingIn(image.libc);
    context.skip(!existsSync(dir), `this checkout holds no native module for ${image.libc}`);
    const mount = { Type: 'bind', Source: dir, Target: '/native', ReadOnly: true };
    const { code, output } = await strictly(
      `node -p "Object.keys(require('/native/${file}')).length > 0"`,
      [mount],
    );
    expect({ code, output: output.trim() }).toEqual({ code: 0, output: 'true' });
  });
});

test('the image of the engine is listed', async () => {
  expect((await listImages({ engine: { host } })).map(({ id }) => id)).toContain(image.id);
});

test('assembled again from the same inputs, the image has the same ID', async (context) => {
  context.skip(image.origin !== 'assembled', 'this engine has the pulled image');
  const { cacheDir } = defaultPaths(process.env, process.getuid?.() ?? -1);
  const again = await buildImage({ engine: { host }, cacheDir, progress: () => {} });
  expect(again).toEqual(image);
});
