import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseHost } from '#setup/engine/find.ts';
import { askJson } from '#setup/engine/http.ts';
import { ensureEngine } from '#setup/engine/ensure.ts';
import { hasProgram } from '#setup/engine/install.ts';
import { engineStatus, stopEngine } from '#setup/engine/control.ts';
import { answering, startPrivateEngine } from '#setup/engine/private.ts';
import { isDead, livePid, pidsBelowCgroup, shimsOf } from '#setup/engine/processes.ts';
import { buildImage } from '#setup/image/images.ts';
import { defaultPaths, enginePaths } from '#setup/paths.ts';
import { prepare } from '#setup/prepare.ts';
import { createContainer, runContainer } from './container.ts';

// A second engine of our own, in a folder of its own, beside the one of the machine.
const dir = mkdtempSync(path.join(tmpdir(), 'oe-'));
const paths = enginePaths({ ORCHESTRA_ENGINE_DIR: dir });
const host = `unix://${paths.socket}`;
const quiet = { progress: () => {} };
const canStart = process.getuid?.() === 0 && hasProgram('dockerd');

const start = async () => startPrivateEngine(paths, () => {});
const stop = async (force = false) => stopEngine(paths, { force, ...quiet });
const idOf = async (address: string) =>
  ((await askJson(parseHost(address), { path: '/info', timeoutMs: 10_000 })) as { ID: string }).ID;
const linksOfHost = () =>
  existsSync('/proc/net/dev')
    ? readFileSync('/proc/net/dev', 'utf8')
        .match(/^\s*[^:\s]+(?=:)/gm)
        ?.map((name) => name.trim())
    : [];

describe.skipIf(!canStart)('our own engine (needs root and dockerd)', () => {
  let image: string;
  let machineEngine: string;
  const linksBefore = linksOfHost();

  beforeAll(async () => {
    const ready = await prepare(process.env, () => {});
    machineEngine = ready.engine.host;
    await start();
    const { cacheDir } = defaultPaths(process.env, 0);
    image = (await buildImage({ engine: { host }, cacheDir, ...quiet })).id;
  });

  afterAll(async () => {
    await stop(true);
    rmSync(dir, { recursive: true, force: true });
  });

  test('is one, however many start it at once', async () => {
    await stop(true);
    const engines = await Promise.all([start(), start(), start(), start()]);
    expect(new Set(engines.map((engine) => engine.host))).toEqual(new Set([host]));
    const daemons = execFileSync('ps', ['-eo', 'pid=,stat=,args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(`--data-root=${paths.dataDir}`));
    expect(daemons).toHaveLength(1);
  });

  test('is for root alone', () => {
    expect(statSync(paths.runDir).mode & 0o777).toBe(0o700);
    expect(statSync(paths.socket).mode & 0o777).toBe(0o600);
  });

  test('knows the runtimes that are installed, and says so', async () => {
    const installed = ['crun', 'runsc'].filter(hasProgram);
    const { runtimes } = await engineStatus(paths);
    expect(runtimes).toEqual(expect.arrayContaining(['runc', ...installed]));
  });

  test('leaves the network of the host as it was, and has none', () => {
    const pid = livePid(paths.pidFile);
    expect(readlinkSync(`/proc/${pid}/ns/net`)).not.toBe(readlinkSync('/proc/self/ns/net'));
    expect(linksOfHost()).toEqual(linksBefore);
    const inside = readFileSync(`/proc/${pid}/net/dev`, 'utf8').trim().split('\n').slice(2);
    expect(inside.map((line) => line.trim().split(':')[0])).toEqual(['lo']);
  });

  test('shows its mounts to nobody, yet sees a folder that was made after its start', async () => {
    const later = mkdtempSync(path.join(dir, 'later-'));
    writeFileSync(path.join(later, 'hello'), 'from the host');
    const mount = { Type: 'bind', Source: later, Target: '/later', ReadOnly: true };
    const ran = await runContainer(host, {
      Image: image,
      User: '0',
      Cmd: ['cat', '/later/hello'],
      HostConfig: { Mounts: [mount] },
    });
    expect(ran).toEqual({ code: 0, output: 'from the host' });
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(paths.dataDir);
  });

  test('mounts the overlays that its tasks work on', async () => {
    const folders = ['lower', 'upper', 'work'].map((name) =>
      mkdtempSync(path.join(dir, `${name}-`)),
    );
    const [lower = '', upper = '', work = ''] = folders;
    writeFileSync(path.join(lower, 'base'), 'below');
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    const ran = await runContainer(host, {
      Image: image,
      User: '0',
      Cmd: ['sh', '-c', 'cat /ws/base && echo new > /ws/made'],
      HostConfig: {
        Mounts: [
          {
            Type: 'volume',
            Target: '/ws',
            VolumeOptions: {
              DriverConfig: {
                Name: 'local',
                Options: { type: 'overlay', device: 'overlay', o: options },
              },
            },
          },
        ],
      },
    });
    expect(ran).toEqual({ code: 0, output: 'below' });
    expect(readFileSync(path.join(upper, 'made'), 'utf8')).toBe('new\n');
  });

  test('comes back after it was killed, with its containers dead and its images kept', async () => {
    const id = await createContainer(host, {
      Image: image,
      Cmd: ['sleep', '600'],
      Labels: { 'orchestra.run': 'r-1' },
    });
    const before = livePid(paths.pidFile) ?? 0;
    const survivors = pidsBelowCgroup(paths.cgroupParent);
    expect(survivors).not.toEqual([]);
    process.kill(before, 'SIGKILL');
    await expect.poll(() => isDead(before)).toBe(true);
    await start();
    expect(survivors.every(isDead)).toBe(true);
    expect(shimsOf(paths.execDir)).toEqual([]);
    const state = (await askJson(parseHost(host), {
      path: `/containers/${id}/json`,
      timeoutMs: 10_000,
    })) as { State: { Running: boolean } };
    expect(state.State.Running).toBe(false);
    const images = await askJson(parseHost(host), {
      path: `/images/${image}/json`,
      timeoutMs: 10_000,
    });
    expect(images).toMatchObject({ Id: image });
  });

  test('is not taken for dead when it is only slow: it and its containers live on', async () => {
    const id = await createContainer(host, { Image: image, Cmd: ['sleep', '600'] });
    const pid = livePid(paths.pidFile) ?? 0;
    process.kill(pid, 'SIGSTOP');
    setTimeout(() => process.kill(pid, 'SIGCONT'), 6_500);
    await start();
    expect(livePid(paths.pidFile)).toBe(pid);
    const state = await askJson(parseHost(host), {
      path: `/containers/${id}/json`,
      timeoutMs: 10_000,
    });
    expect(state).toMatchObject({ State: { Running: true } });
  });

  test('spares a stranger that a stale pid file names', async () => {
    await stop(true);
    writeFileSync(paths.pidFile, String(process.pid));
    await start();
    expect(livePid(paths.pidFile)).not.toBe(process.pid);
  });

  test('is not stopped while it runs what is not ours, and says so', async () => {
    const id = await createContainer(host, { Image: image, Cmd: ['sleep', '600'] });
    await expect(stop()).rejects.toMatchObject({
      code: 'run.conflict',
      places: [{ message: id.slice(0, 12) }],
    });
    expect(await engineStatus(paths)).toMatchObject({
      running: true,
      containers: { running: 1, foreignRunning: 1 },
    });
    expect(await stop(true)).toBe(true);
    await start();
  });

  test('removes its sandboxes when it stops, leaves nothing running, and spares the other engine', async () => {
    const other = await idOf(machineEngine);
    await createContainer(host, {
      Image: image,
      Cmd: ['sleep', '600'],
      Labels: { 'orchestra.run': 'r-2' },
    });
    const pid = livePid(paths.pidFile) ?? 0;
    expect(await stop()).toBe(true);
    expect(isDead(pid)).toBe(true);
    expect(existsSync(paths.socket)).toBe(false);
    expect(pidsBelowCgroup(paths.cgroupParent)).toEqual([]);
    expect(await engineStatus(paths)).toMatchObject({ running: false });
    expect(await stop()).toBe(false);
    expect(await idOf(machineEngine)).toBe(other);
  });

  test('is started by the set-up where no other engine answers', async () => {
    // The machine's own sockets come first in the search; only a machine without them shows this.
    const isElsewhere = ['/var/run/docker.sock', '/run/podman/podman.sock'].some(existsSync);
    const engine = await ensureEngine({ env: { ORCHESTRA_ENGINE_DIR: dir }, ...quiet });
    expect(engine.origin === 'private' || isElsewhere).toBe(true);
    expect((await answering(paths)) !== undefined || isElsewhere).toBe(true);
  });

  test('says what is wrong, from its own log, when it cannot start', async () => {
    const bad = enginePaths({ ORCHESTRA_ENGINE_DIR: path.join(dir, 'bad') });
    mkdirSync(bad.dataDir, { recursive: true });
    writeFileSync(path.join(bad.dataDir, 'overlay2'), 'a file where a folder should be');
    const error: unknown = await startPrivateEngine(bad, () => {}).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: 'engine.unavailable' });
    expect((error as { places: unknown[] }).places).not.toEqual([]);
  });
});
