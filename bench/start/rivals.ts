import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Docker from 'dockerode';

/** From the call to the first byte of output and to the result, ms. */
export type Sample = { firstByteMs: number; totalMs: number };
export type Rival = { name: string; run(): Promise<Sample> };

export const image = 'orchestra/node:20-assembled';
const said = 'x';

/** What users would pick instead, as far as it is on this machine; why not, where it is not. */
export async function openRivals(
  engineSocket: string,
  cacheDir: string,
): Promise<{ rivals: Rival[]; absent: Record<string, string> }> {
  const absent: Record<string, string> = {};
  const run = ['--rm', '--network', 'none', image, 'echo', said];
  const rivals: Rival[] = [
    command('docker run', 'docker', ['-H', `unix://${engineSocket}`, 'run', ...run]),
    dockerode(engineSocket),
  ];
  if (podmanHasImage(engineSocket)) {
    const limits = ['--ulimit', 'nofile=4096:4096', '--ulimit', 'nproc=4096:4096'];
    const flags = ['--cgroup-manager', 'cgroupfs', 'run', ...limits, '--rm', '--network', 'none'];
    const args = ['podman', ...flags, `localhost/${image}`, 'echo', said];
    rivals.push(command('podman run', 'unshare', ['--mount', 'sh', '-c', withoutHybrid, ...args]));
  } else absent['podman run'] = 'podman is not installed or does not take the image';
  if (hasProgram('bwrap')) rivals.push(command('bwrap', 'bwrap', [...bwrapFlags, 'echo', said]));
  else absent['bwrap'] = 'bubblewrap is not installed';
  try {
    rivals.push(await sandboxRuntime(cacheDir));
  } catch (error) {
    absent['sandbox-runtime'] = String(error).slice(0, 200);
  }
  return { rivals, absent };
}

// crun refuses a machine that has both versions of cgroups mounted; costs some two milliseconds.
const withoutHybrid = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$0" "$@"';

const bwrapFlags =
  '--unshare-all --die-with-parent --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --'.split(
    ' ',
  );

function command(name: string, program: string, args: readonly string[]): Rival {
  return {
    name,
    run: () => timed(() => spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })),
  };
}

async function timed(start: () => ReturnType<typeof spawn>): Promise<Sample> {
  const started = performance.now();
  const child = start();
  let firstByteMs = Number.NaN;
  let errors = '';
  child.stdout?.once('data', () => (firstByteMs = performance.now() - started));
  child.stderr?.on('data', (part: Buffer) => (errors += part.toString()));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject);
  child.on('close', resolve);
  const code = await promise;
  if (code !== 0) throw new Error(`exit ${code}: ${errors.slice(0, 500)}`);
  return { firstByteMs, totalMs: performance.now() - started };
}

/** The library's own words for it: create, attach, start, wait, remove, and nothing else. */
function dockerode(socketPath: string): Rival {
  const docker = new Docker({ socketPath });
  return {
    name: 'dockerode',
    run: async () => {
      const started = performance.now();
      const container = await docker.createContainer({
        Image: image,
        Cmd: ['echo', said],
        HostConfig: { NetworkMode: 'none' },
      });
      const output = await container.attach({ stream: true, stdout: true, stderr: true });
      let firstByteMs = Number.NaN;
      output.once('data', () => (firstByteMs = performance.now() - started));
      await container.start();
      await container.wait();
      const totalMs = performance.now() - started;
      await container.remove();
      return { firstByteMs, totalMs };
    },
  };
}

const runtimeVersion = '0.0.83';

/** @anthropic-ai/sandbox-runtime as its README uses it: initialized once, each command wrapped. */
async function sandboxRuntime(cacheDir: string): Promise<Rival> {
  const dir = join(cacheDir, `sandbox-runtime-${runtimeVersion}`);
  const name = '@anthropic-ai/sandbox-runtime';
  if (!existsSync(join(dir, 'node_modules', name))) {
    mkdirSync(dir, { recursive: true });
    const args = [
      'install',
      '--no-audit',
      '--no-fund',
      '--prefix',
      dir,
      `${name}@${runtimeVersion}`,
    ];
    execFileSync('npm', args, { stdio: 'ignore', timeout: 120_000 });
  }
  const entry = createRequire(join(dir, 'x.js')).resolve(name);
  const { SandboxManager } = (await import(pathToFileURL(entry).href)) as {
    SandboxManager: {
      initialize(config: object): Promise<void>;
      wrapWithSandbox(command: string): Promise<string>;
    };
  };
  await SandboxManager.initialize({
    network: { allowedDomains: [], deniedDomains: [] },
    filesystem: { denyRead: [], allowWrite: ['/tmp'], denyWrite: [] },
  });
  const rival: Rival = {
    name: 'sandbox-runtime',
    run: async () => {
      const wrapped = await SandboxManager.wrapWithSandbox(`echo ${said}`);
      return timed(() => spawn(wrapped, { shell: '/bin/bash', stdio: ['ignore', 'pipe', 'pipe'] }));
    },
  };
  await rival.run();
  return rival;
}

function hasProgram(name: string): boolean {
  try {
    execFileSync('which', [name], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Podman keeps its own images: it gets a copy of the engine's, once. */
function podmanHasImage(engineSocket: string): boolean {
  if (!hasProgram('podman')) return false;
  try {
    execFileSync('podman', ['image', 'exists', `localhost/${image}`], { stdio: 'ignore' });
    return true;
  } catch {
    try {
      const copy = `docker -H unix://${engineSocket} save ${image} | podman load`;
      execFileSync('sh', ['-c', copy], { stdio: 'ignore', timeout: 120_000 });
      return true;
    } catch {
      return false;
    }
  }
}
