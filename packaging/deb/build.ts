import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { bundle } from '#setup/bundle.ts';
import { epochOf, versionOf } from '../version.ts';
import { copyDependencies } from './dependencies.ts';
import { manualPages } from './man.ts';

const programs = ['orchestra', 'orchestrad', 'orchestra-signer', 'orchestra-witness'] as const;
const here = import.meta.dirname;
const maintainer = 'Orchestra maintainers <maintainers@orchestra.invalid>';

export type DebOptions = {
  root: string;
  /** Where the package and its checksum are written. */
  out: string;
  version: string;
  /** Seconds since 1970 that every file is of: the same sources make the same bytes. */
  epoch: number;
  /** `xz` for releases; `gzip` is made in a fraction of the time. */
  compression: 'xz' | 'gzip';
};

/** Makes the Debian package. Answers where it lies and its digest. */
export async function buildDeb(options: DebOptions): Promise<{ file: string; sha256: string }> {
  const { out, version, epoch, compression } = options;
  const stage = mkdtempSync(path.join(tmpdir(), 'orc-deb-'));
  try {
    chmodSync(stage, 0o755);
    await stageTree(stage, options);
    writeControl(stage, version);
    mkdirSync(out, { recursive: true });
    const file = path.join(out, `orchestra_${version}_${architecture()}.deb`);
    execFileSync(
      'dpkg-deb',
      [
        '--root-owner-group',
        `-Z${compression}`,
        compression === 'xz' ? '-z6' : '-z1',
        '--build',
        stage,
        file,
      ],
      {
        env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
    writeFileSync(`${file}.sha256`, `${sha256}  ${path.basename(file)}\n`);
    return { file, sha256 };
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

async function stageTree(stage: string, { root, version, epoch }: DebOptions): Promise<void> {
  const lib = path.join(stage, 'usr/lib/orchestra');
  mkdirSync(path.join(lib, 'bin'), { recursive: true });
  await bundle(root, path.join(lib, 'dist'));
  for (const name of ['policies', 'images']) {
    cpSync(path.join(root, name), path.join(lib, name), { recursive: true });
  }
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as object;
  put(stage, 'usr/lib/orchestra/package.json', jsonText({ ...manifest, version }));
  copyDependencies(root, lib);
  const node = path.join(lib, 'bin/node');
  copyFileSync(process.execPath, node);
  const addons = globSync('node_modules/**/*.node', { cwd: lib }).map((name) =>
    path.join(lib, name),
  );
  execFileSync('strip', ['--strip-unneeded', node, ...addons.toSorted()]);
  copyFileSync(path.join(process.execPath, '../../LICENSE'), path.join(lib, 'bin/LICENSE'));
  for (const name of programs) {
    put(
      stage,
      `usr/bin/${name}`,
      `#!/bin/sh\nexec /usr/lib/orchestra/bin/node /usr/lib/orchestra/dist/${name}.mjs "$@"\n`,
    );
  }
  stageUnits(stage);
  put(
    stage,
    'etc/orchestra/orchestrad.yaml',
    readFileSync(path.join(here, 'debian/orchestrad.yaml')),
  );
  stageTexts(stage, { root, version, date: new Date(epoch * 1000).toISOString().slice(0, 10) });
  settle(stage);
}

function stageUnits(stage: string): void {
  const units = path.join(here, '../systemd');
  for (const name of readdirSync(units)) {
    if (!/\.(?:service|socket)$/.test(name)) continue;
    put(stage, `usr/lib/systemd/system/${name}`, readFileSync(path.join(units, name)));
  }
  put(stage, 'usr/lib/sysusers.d/orchestra.conf', readFileSync(path.join(units, 'sysusers.conf')));
  put(stage, 'usr/lib/tmpfiles.d/orchestra.conf', readFileSync(path.join(units, 'tmpfiles.conf')));
  cpSync(path.join(units, 'profiles'), path.join(stage, 'usr/share/orchestra/profiles'), {
    recursive: true,
  });
}

function stageTexts(stage: string, of: { root: string; version: string; date: string }): void {
  const run = (program: string, args: readonly string[]) => {
    const file = path.join(stage, 'usr/lib/orchestra/dist', `${program}.mjs`);
    return spawnSync(process.execPath, [file, ...args], { encoding: 'utf8' }).stdout;
  };
  const shells = {
    bash: 'usr/share/bash-completion/completions/orchestra',
    zsh: 'usr/share/zsh/vendor-completions/_orchestra',
    fish: 'usr/share/fish/vendor_completions.d/orchestra.fish',
  };
  for (const [shell, file] of Object.entries(shells))
    put(stage, file, run('orchestra', ['completion', shell]));
  const usages = Object.fromEntries(programs.slice(1).map((name) => [name, run(name, ['--help'])]));
  const settings = readFileSync(path.join(of.root, 'docs/CONFIG.md'), 'utf8');
  for (const [name, page] of manualPages(of, { usages, settings })) {
    put(stage, `usr/share/man/man${name.at(-1) ?? ''}/${name}.gz`, gzip(page));
  }
  const doc = 'usr/share/doc/orchestra';
  put(stage, `${doc}/copyright`, readFileSync(path.join(here, 'debian/copyright')));
  put(stage, `${doc}/CHANGELOG.md.gz`, gzip(readFileSync(path.join(of.root, 'CHANGELOG.md'))));
  put(stage, `${doc}/changelog.gz`, gzip(debianChangelog(of)));
  put(
    stage,
    'usr/share/lintian/overrides/orchestra',
    readFileSync(path.join(here, 'debian/lintian-overrides')),
  );
}

function debianChangelog({ version, date }: { version: string; date: string }): string {
  const at = new Date(`${date}T00:00:00Z`).toUTCString().replace('GMT', '+0000');
  return `orchestra (${version}) unstable; urgency=medium

  * What changed is in CHANGELOG.md.gz beside this.

 -- ${maintainer}  ${at}
`;
}

function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function writeControl(stage: string, version: string): void {
  const kib = Number(
    execFileSync('du', ['-sk', '--apparent-size', stage], { encoding: 'utf8' }).split('\t')[0],
  );
  put(
    stage,
    'DEBIAN/control',
    `Package: orchestra
Version: ${version}
Architecture: ${architecture()}
Maintainer: ${maintainer}
Installed-Size: ${kib}
Depends: libc6 (>= 2.28), libstdc++6 (>= 8), libgcc-s1, systemd (>= 247), init-system-helpers (>= 1.54~)
Recommends: docker.io | docker-ce | podman
Section: devel
Priority: optional
Description: runs plans in locked containers and keeps the record
 orchestrad runs plans of tasks, each in a fresh container without a network,
 and keeps an append-only, signed log of everything that it does. orchestra is
 its command line. The package brings the Node.js that both run on.
`,
  );
  put(stage, 'DEBIAN/conffiles', '/etc/orchestra/orchestrad.yaml\n');
  for (const name of ['postinst', 'prerm', 'postrm']) {
    put(stage, `DEBIAN/${name}`, readFileSync(path.join(here, 'debian', name)));
    chmodSync(path.join(stage, 'DEBIAN', name), 0o755);
  }
  const sums = execFileSync(
    'sh',
    ['-c', 'find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum'],
    { cwd: stage, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  put(stage, 'DEBIAN/md5sums', sums);
}

function put(stage: string, name: string, content: string | Buffer): void {
  const file = path.join(stage, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
}

/** Nothing here depends on who built it: folders and programs 0755, the rest 0644. */
function settle(stage: string): void {
  for (const entry of readdirSync(stage, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const isProgram =
      /\/(?:usr\/bin|orchestra\/bin)\/[\w-]+$/.test(file) && entry.name !== 'LICENSE';
    chmodSync(file, entry.isDirectory() || isProgram ? 0o755 : 0o644);
  }
}

function gzip(text: string | Buffer): Buffer {
  const bytes = gzipSync(text, { level: 9 });
  // The system that it was made on, which differs where nothing else does.
  bytes[9] = 0xff;
  return bytes;
}

/** As Debian calls it. */
export function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

if (import.meta.main) {
  const root = path.resolve(here, '../..');
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: path.join(root, 'packages') },
      version: { type: 'string' },
      gzip: { type: 'boolean', default: false },
    },
  });
  const { file, sha256 } = await buildDeb({
    root,
    out: values.out,
    version: values.version ?? versionOf(root),
    epoch: epochOf(root),
    compression: values.gzip ? 'gzip' : 'xz',
  });
  process.stdout.write(`${sha256}  ${file}\n`);
}
