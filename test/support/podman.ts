import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findEngine, parseHost } from '#setup/engine/find.ts';
import { ask, askJson, readText } from '#setup/engine/http.ts';
import { hasProgram } from '#setup/engine/install.ts';
import { testImage } from './real-engine.ts';

/** Why no Podman can be started here for a test; undefined when one can. */
export function podmanMissing(runtime = 'crun'): string | undefined {
  if ((process.env['ORCHESTRA_TEST_PODMAN'] ?? '') !== '') return undefined;
  if (process.getuid?.() !== 0) return 'only root starts a Podman with limits';
  const missing = ['podman', runtime].filter((program) => !hasProgram(program));
  if (!['/usr/libexec/podman/catatonit', '/usr/bin/catatonit'].some((file) => existsSync(file))) {
    missing.push('catatonit');
  }
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
}

/** A Podman on directories and a socket of its own, with the test image of this machine's engine. */
export async function startPodman(
  runtime = 'crun',
): Promise<{ host: string; stop(): Promise<void> }> {
  const named = process.env['ORCHESTRA_TEST_PODMAN'] ?? '';
  if (named !== '') return { host: `unix://${named}`, stop: async () => {} };
  const dir = realpathSync(mkdtempSync(path.join(tmpdir(), 'orchestra-podman-')));
  const host = `unix://${path.join(dir, 'podman.sock')}`;
  // In a mount namespace of its own: crun refuses a machine that has both versions of cgroups
  // mounted, and what Podman mounts goes with it.
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', serve, host], {
    // conmon leaves a file named oom where it was started.
    cwd: dir,
    stdio: 'ignore',
    env: { ...process.env, P: dir, RUNTIME: runtime },
  });
  const stop = async () => {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await answering(host);
    await copyTestImage(host);
    return { host, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A Podman of the user `nobody`, without images: enough to hear what it says about itself. */
export async function startRootlessPodman(): Promise<{ host: string; stop(): Promise<void> }> {
  const dir = realpathSync(mkdtempSync(path.join(tmpdir(), 'orchestra-rootless-')));
  const host = `unix://${path.join(dir, 'podman.sock')}`;
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', serveNobody, host],
    { cwd: dir, stdio: 'ignore', env: { ...process.env, P: dir } },
  );
  const stop = async () => {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await answering(host);
    return { host, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

// What root configured for itself need not be readable for others.
const serveNobody = `chmod 755 "$P" && mkdir -m 755 "$P/etc" "$P/home" "$P/xdg" && mount --bind "$P/etc" /etc/containers
chown 65534:65534 "$P" "$P/home" "$P/xdg" && chmod 700 "$P/xdg"
exec setpriv --reuid 65534 --regid 65534 --clear-groups env -i PATH="$PATH" HOME="$P/home" \\
  XDG_RUNTIME_DIR="$P/xdg" USER=nobody podman --root "$P/root" --runroot "$P/run" --tmpdir "$P/tmp" \\
  --storage-driver vfs --cgroup-manager cgroupfs --events-backend file system service --time 0 "$0"`;

const serve = `umount /sys/fs/cgroup/unified 2>/dev/null
exec podman --root "$P/root" --runroot "$P/run" --tmpdir "$P/tmp" --storage-driver overlay \\
  --cgroup-manager cgroupfs --events-backend file --runtime "$(command -v "$RUNTIME")" \\
  system service --time 0 "$0"`;

async function answering(host: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      const pong = await ask(parseHost(host), { path: '/_ping', timeoutMs: 1_000 });
      await readText(pong, 1_000);
      return;
    } catch (error) {
      if (tries >= 100) throw error;
      await pause(100);
    }
  }
}

/** The test image of this machine's engine, or of the one that is named, for another engine. */
export async function copyTestImage(host: string, source?: string): Promise<void> {
  const from = parseHost(source ?? (await findEngine({ env: process.env })).host);
  const saved = await ask(from, { path: `/images/${testImage}/get`, timeoutMs: 60_000 });
  if (saved.statusCode !== 200) throw new Error(`${testImage} is not on the engine: npm run setup`);
  await askJson(parseHost(host), {
    method: 'POST',
    path: '/images/load',
    body: saved,
    headers: { 'Content-Type': 'application/x-tar' },
    timeoutMs: 60_000,
  });
}
