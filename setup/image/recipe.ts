import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { runProgram } from '../run-program.ts';
import type { Progress } from '../progress.ts';
import type { ImageDescription, PinnedPackage } from './description.ts';
import { debianPackages, npmTarball, type DebianPackage } from './inputs.ts';
import { claimPath, toolsClaim } from './tools-claim.ts';
import { Tree } from './tree.ts';
import { untar } from './untar.ts';

/** Rises when the recipe changes, so that an image of an older recipe is assembled anew. */
export const recipeVersion = '2';

/** A package that the image was made from, by the hash that its publisher gives it. */
export type ImageInput = {
  kind: 'npm' | 'deb';
  name: string;
  version: string;
  hash: { alg: 'SHA-256' | 'SHA-512'; hex: string };
};

export type Assembled = {
  tree: Tree;
  labels: Record<string, string>;
  env: string[];
  inputs: ImageInput[];
};

// All shared objects of the first three, not only those that node itself needs: native modules of
// projects ask for others (rollup's for librt).
const libraryPackages = ['libc6', 'libgcc-s1', 'libstdc++6'];
const otherPackages = ['busybox-static', 'tini', 'ca-certificates'];

/** Puts the sandbox image together from npm and Debian packages. Same inputs, same tree. */
export async function assembleImage(
  image: ImageDescription,
  cpu: 'x64' | 'arm64',
  cacheDir: string,
  progress: Progress,
): Promise<Assembled> {
  const debs = await debianPackages([...libraryPackages, ...otherPackages], cacheDir, progress);
  const node = await npmTarball(image.inputs.node[cpu], cacheDir, progress);
  const npm = await npmTarball(image.inputs.npm, cacheDir, progress);
  progress('assembling the sandbox image');
  const tree = new Tree();
  addSystemFiles(tree, image);
  for (const deb of debs) await addDebian(tree, deb, cpu, cacheDir);
  await addNode(tree, node);
  await addNpm(tree, npm);
  tree.file(claimPath, toolsClaim(tree, versionsOf(image, debs)));
  return {
    tree,
    labels: {
      'orchestra.image.name': image.name,
      'orchestra.image.origin': 'assembled',
      'orchestra.image.recipe': recipeVersion,
      'orchestra.image.libc': image.libc.assembled,
      'orchestra.image.inputs': [
        image.inputs.node[cpu].package,
        image.inputs.npm.package,
        ...debs.map((deb) => `${deb.name}=${deb.version}`),
      ].join(' '),
    },
    env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      `NODE_VERSION=${image.inputs.node.version}`,
    ],
    inputs: [npmInput(image.inputs.node[cpu]), npmInput(image.inputs.npm), ...debs.map(debInput)],
  };
}

function npmInput({ package: spec, integrity }: PinnedPackage): ImageInput {
  const at = spec.lastIndexOf('@');
  const hex = Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex');
  const [name, version] = [spec.slice(0, at), spec.slice(at + 1)];
  return { kind: 'npm', name, version, hash: { alg: 'SHA-512', hex } };
}

function debInput({ name, version, sha256 }: DebianPackage): ImageInput {
  return { kind: 'deb', name, version, hash: { alg: 'SHA-256', hex: sha256 } };
}

/** As the programs say it themselves. */
function versionsOf({ inputs }: ImageDescription, debs: readonly DebianPackage[]) {
  const node = inputs.node.version;
  const npm = inputs.npm.package.slice(inputs.npm.package.lastIndexOf('@') + 1);
  const busybox = debs.find(({ name }) => name === 'busybox-static')?.version;
  // 1:1.35.0-4+b7: epoch and revision are Debian's.
  const [upstream] = /\d+(?:\.\d+)+/.exec(busybox?.replace(/^\d+:/, '') ?? '') ?? [];
  return {
    node,
    nodejs: node,
    npm,
    npx: npm,
    ...(upstream === undefined ? {} : { busybox: upstream }),
  };
}

function addSystemFiles(tree: Tree, { user, inputs }: ImageDescription): void {
  for (const dir of [
    'dev',
    'proc',
    'sys',
    'run',
    'etc',
    'var/log',
    'usr/local/sbin',
    'opt',
    'srv',
  ]) {
    tree.put(dir, { type: 'directory', mode: 0o755 });
  }
  for (const dir of ['tmp', 'var/tmp']) tree.put(dir, { type: 'directory', mode: 0o1777 });
  tree.put('root', { type: 'directory', mode: 0o700 });
  const { uid, gid } = user;
  tree.put(user.home.slice(1), { type: 'directory', mode: 0o755, uid, gid });
  tree.file(
    'etc/passwd',
    'root:x:0:0:root:/root:/bin/sh\n' +
      `${user.name}:x:${uid}:${gid}::${user.home}:/bin/sh\n` +
      'nobody:x:65534:65534:nobody:/:/bin/false\n',
  );
  tree.file('etc/group', `root:x:0:\ntty:x:5:\n${user.name}:x:${gid}:\nnogroup:x:65534:\n`);
  tree.file('etc/shadow', `root:*:::::::\n${user.name}:!:::::::\nnobody:!:::::::\n`, 0o640);
  tree.file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  tree.file('etc/hosts', '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n');
  tree.file('etc/shells', '/bin/sh\n/bin/ash\n');
  tree.file('etc/profile', 'export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}"\n');
  tree.file(
    'etc/os-release',
    'NAME="Orchestra sandbox"\nID=orchestra-sandbox\nID_LIKE=debian\n' +
      `PRETTY_NAME="Orchestra sandbox with Node ${inputs.node.version}, assembled from Debian and npm packages (glibc, busybox)"\n` +
      `VERSION_ID=${recipeVersion}\n`,
  );
}

async function addDebian(
  tree: Tree,
  deb: DebianPackage,
  cpu: 'x64' | 'arm64',
  cacheDir: string,
): Promise<void> {
  switch (deb.name) {
    case 'busybox-static':
      return addBusybox(tree, await only(deb, /^(usr\/)?bin\/busybox$/), cacheDir);
    case 'tini':
      tree.file('sbin/tini', await only(deb, /^usr\/bin\/tini-static$/), 0o755);
      return;
    case 'ca-certificates':
      return addCertificates(tree, deb);
    default:
      return addLibraries(tree, deb, cpu);
  }
}

const loaders = {
  x64: { triplet: 'x86_64-linux-gnu', path: 'lib64/ld-linux-x86-64.so.2' },
  arm64: { triplet: 'aarch64-linux-gnu', path: 'lib/ld-linux-aarch64.so.1' },
};

// Releases differ in where they keep these (/lib, /usr/lib, /lib64), so they are all put into one
// folder, and the loader's own path, which every program names, points there.
async function addLibraries(tree: Tree, deb: DebianPackage, cpu: 'x64' | 'arm64'): Promise<void> {
  const { triplet, path: loader } = loaders[cpu];
  const library = new RegExp(`^(usr/)?lib(64)?/(${triplet}/)?[^/]+\\.so(\\.[0-9.]+)?$`);
  for (const each of await untar(deb.tar, (name) => library.test(name))) {
    const base = path.posix.basename(each.name);
    const place = `lib/${triplet}/${base}`;
    const target = path.posix.basename(each.target);
    if (each.type === 'symlink' && target === base) continue; // the loader's path in the package
    if (each.type === 'symlink') tree.symlink(place, target);
    else tree.file(place, each.content, 0o755);
    if (base === path.posix.basename(loader)) tree.symlink(loader, `/${place}`);
  }
}

async function addBusybox(tree: Tree, busybox: Buffer, cacheDir: string): Promise<void> {
  tree.file('bin/busybox', busybox, 0o755);
  for (const place of await appletPlaces(busybox, cacheDir)) {
    if (!tree.has(place)) tree.symlink(place, '/bin/busybox');
  }
}

// Only the program knows which applets it was built with. The list ends up sorted in the image.
async function appletPlaces(busybox: Buffer, cacheDir: string): Promise<string[]> {
  const dir = path.join(cacheDir, `tmp-${randomUUID()}`);
  const file = path.join(dir, 'busybox');
  mkdirSync(dir, { recursive: true });
  try {
    writeFileSync(file, busybox, { mode: 0o755 });
    chmodSync(file, 0o755);
    const list = await runProgram(file, ['--list-full'], { timeoutMs: 10_000 });
    return list
      .toString('utf8')
      .split('\n')
      .map((line) => line.trim().replace(/^\//, ''))
      .map((line) => (line.includes('/') ? line : `bin/${line}`))
      .filter((line) => /^(usr\/)?s?bin\/[^/]+$/.test(line) && line !== 'bin/busybox');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function addCertificates(tree: Tree, deb: DebianPackage): Promise<void> {
  const found = await untar(deb.tar, (name) =>
    /^usr\/share\/ca-certificates\/mozilla\/[^/]+\.crt$/.test(name),
  );
  const bundle = found
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ content }) => content.toString('utf8').trimEnd());
  if (bundle.length === 0) throw new Error('ca-certificates holds no certificate');
  tree.file('etc/ssl/certs/ca-certificates.crt', `${bundle.join('\n')}\n`);
  tree.symlink('etc/ssl/cert.pem', 'certs/ca-certificates.crt');
}

async function addNode(tree: Tree, tarball: Buffer): Promise<void> {
  const [node] = await untar(tarball, (name) => name === 'package/bin/node');
  if (node === undefined) throw new Error('the package holds no bin/node');
  tree.file('usr/local/bin/node', node.content, 0o755);
  tree.symlink('usr/local/bin/nodejs', 'node');
}

async function addNpm(tree: Tree, tarball: Buffer): Promise<void> {
  for (const file of await untar(tarball, (name) => name.startsWith('package/'))) {
    if (file.type !== 'file') continue;
    const inside = file.name.slice('package/'.length);
    const executable = file.executable || /^bin\/np[mx]-cli\.js$/.test(inside);
    tree.file(`usr/local/lib/node_modules/npm/${inside}`, file.content, executable ? 0o755 : 0o644);
  }
  for (const name of ['npm', 'npx']) {
    tree.symlink(`usr/local/bin/${name}`, `../lib/node_modules/npm/bin/${name}-cli.js`);
  }
}

async function only(deb: DebianPackage, pattern: RegExp): Promise<Buffer> {
  const [found] = await untar(deb.tar, (name) => pattern.test(name));
  if (found === undefined) throw new Error(`${deb.name} ${deb.version} holds no ${pattern.source}`);
  return found.content;
}
