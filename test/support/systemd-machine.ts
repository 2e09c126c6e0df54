import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findEngine } from '#setup/engine/find.ts';

const tag = 'orchestra-test/systemd:12';
const packages = 'systemd,systemd-sysv,dbus,docker.io,libstdc++6';
const run = promisify(execFile);

type Ran = { code: number; out: string };

/** Why there can be no such machine here; undefined where there can. */
export async function whyNoSystemd(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'needs root';
  const engine = await findEngine({ env: process.env }).catch(() => undefined);
  if (engine?.kind !== 'docker') return 'needs Docker';
  for (const program of ['docker', 'dpkg-deb', 'strip']) {
    if (spawnSync('which', [program]).status !== 0) return `needs ${program}`;
  }
  const has = spawnSync('docker', ['-H', engine.host, 'image', 'inspect', tag]).status === 0;
  if (!has && spawnSync('which', ['mmdebstrap']).status !== 0) return 'needs mmdebstrap';
  return undefined;
}

/** A Debian with systemd as its first process and an engine of its own, without a network. */
export class SystemdMachine implements AsyncDisposable {
  readonly #host: string;
  readonly #id: string;

  private constructor(host: string, id: string) {
    this.#host = host;
    this.#id = id;
  }

  /** `share` is seen read-only as `/share`. */
  static async start(share: string): Promise<SystemdMachine> {
    const { host } = await findEngine({ env: process.env });
    const docker = (args: readonly string[]) =>
      execFileSync('docker', ['-H', host, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
    if (spawnSync('docker', ['-H', host, 'image', 'inspect', tag]).status !== 0) makeImage(docker);
    const mounts = ['/sys/fs/cgroup:/sys/fs/cgroup:rw', '/var/lib/docker', '/var/lib/orchestra'];
    const flags =
      '--network none --cgroupns host --stop-signal SIGRTMIN+3 --cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined';
    const volumes = [...mounts, `${share}:/share:ro`].flatMap((mount) => ['-v', mount]);
    const memory = ['/run:exec', '/run/lock', '/tmp'].flatMap((mount) => ['--tmpfs', mount]);
    const id = docker(['run', '-d', ...flags.split(' '), ...volumes, ...memory, tag, '/sbin/init']);
    const machine = new SystemdMachine(host, id);
    const settings = '{"bridge":"none","iptables":false,"ip6tables":false,"ip-forward":false}';
    await machine.until('systemctl list-jobs | grep -q "No jobs"');
    await machine.sh(
      `mkdir -p /etc/docker && echo '${settings}' > /etc/docker/daemon.json && systemctl reset-failed docker; systemctl restart docker`,
    );
    return machine;
  }

  /** What a shell in it says, stdout and stderr together. */
  async sh(script: string): Promise<Ran> {
    const args = [
      '-H',
      this.#host,
      'exec',
      this.#id,
      'timeout',
      '60',
      'sh',
      '-c',
      `${script} 2>&1`,
    ];
    try {
      return { code: 0, out: (await run('docker', args)).stdout };
    } catch (error) {
      const { code, stdout } = error as { code: number; stdout: string };
      return { code, out: stdout };
    }
  }

  async until(script: string): Promise<void> {
    for (let i = 0; i < 150; i += 1) {
      if ((await this.sh(script)).code === 0) return;
      await sleep(200);
    }
    throw new Error(`never true: ${script}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('docker', ['-H', this.#host, 'rm', '-fv', this.#id]);
  }
}

function makeImage(docker: (args: readonly string[]) => string): void {
  const dir = mkdtempSync(join(tmpdir(), 'orc-debian-'));
  try {
    const tar = join(dir, 'debian.tar');
    const args = ['--variant=minbase', `--include=${packages}`, 'bookworm', tar];
    execFileSync('mmdebstrap', args, { stdio: 'pipe' });
    docker(['import', tar, tag]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
