import {
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { seccompName } from '#daemon/engine/asked.ts';
import type { OverlayMount, SandboxSpec } from '#daemon/policy/spec.ts';
import { withoutSlots } from '#daemon/sandbox/ready-slots.ts';
import { runInSandbox } from '#daemon/sandbox/sandbox.ts';
import { sweepStrays } from '#daemon/sandbox/sweep.ts';
import { keepOutput } from '#test/support/fake-sandbox.ts';
import type { openRealEngine } from '#test/support/real-engine.ts';
import { testLimits } from '#test/support/sandbox-spec.ts';
import { shippedSeccomp } from '#test/support/seccomp.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
type RealEngine = Awaited<ReturnType<typeof openRealEngine>>;

const devicesAlways =
  'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' ');

/** Where engines may differ without a sandbox being weaker. */
export type Extra = {
  /**
   * gVisor: its own kernel answers the task, so what the host's kernel says of a process, a mount or
   * a device is not to be had; what that means is a test all the same, in gVisor's words.
   */
  ownKernel?: boolean;
  /** crun: mounts a volume of the engine without the nosuid and nodev that it had. */
  dropsVolumeFlags?: boolean;
};

const devicesOfGvisor = devicesAlways
  .filter((name) => name !== 'mqueue')
  .concat('fuse', 'net')
  .toSorted();

/** What a sandbox cannot do and cannot exceed, whichever engine made it. */
export function isolationSuite(name: string, extra: Extra, open: () => Promise<RealEngine>): void {
  describe(`the isolation of a sandbox, ${name}`, () => {
    let real: RealEngine;

    beforeAll(async () => {
      real = await open();
    });
    afterEach(async () => {
      expect(await real.left()).toEqual([]);
    });
    afterAll(async () => {
      // Unset when opening failed: then that is the error to show.
      await (real as RealEngine | undefined)?.close();
    });

    async function sandboxed(
      command: readonly string[],
      change: Partial<SandboxSpec> = {},
      signal: AbortSignal = new AbortController().signal,
    ) {
      const output = keepOutput();
      const { engine, log, clock } = real;
      const slots = withoutSlots(engine);
      const result = await runInSandbox(
        { engine, slots, log, clock },
        { permit: real.permit({ command, ...change }), context, output, signal },
      );
      await slots.settled();
      return { ...result, stdout: output.text(1), stderr: output.text(2) };
    }
    const sh = async (script: string, change?: Partial<SandboxSpec>, signal?: AbortSignal) =>
      sandboxed(['sh', '-c', script], change, signal);
    const js = async (script: string, change?: Partial<SandboxSpec>) =>
      sandboxed(['node', '-e', script], change);

    function overlay(name: string, lower: Record<string, string> = {}): OverlayMount {
      const [low, upper, work] = ['low', 'up', 'work'].map((part) => {
        const dir = path.join(real.layers, `${name}-${part}`);
        mkdirSync(dir);
        chownSync(dir, real.owner.uid, real.owner.gid);
        return dir;
      }) as [string, string, string];
      for (const [file, text] of Object.entries(lower)) {
        writeFileSync(path.join(low, file), text);
        chownSync(path.join(low, file), real.owner.uid, real.owner.gid);
      }
      return { kind: 'overlay', lower: [low], upper, work, target: '/workspace' };
    }

    test('no capability, no new privileges, seccomp on, a user that is not root', async () => {
      const { stdout } = await sh('cat /proc/self/status /proc/1/status; id');
      const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', ...(extra.ownKernel ? [] : ['CapAmb'])];
      for (const set of sets) {
        expect(stdout.match(new RegExp(`^${set}:\\s+0+$`, 'gm'))).toHaveLength(2);
      }
      // gVisor says nothing about the first, and filters its own calls to the host, not the task's.
      if (!extra.ownKernel) {
        expect(stdout.match(/^NoNewPrivs:\s+1$/gm)).toHaveLength(2);
        expect(stdout.match(/^Seccomp:\s+2$/gm)).toHaveLength(2);
      }
      expect(stdout).toContain('uid=1000(node) gid=1000(node) groups=1000(node)\n');
    });

    test('no network but loopback, names fail at once, localhost resolves', async () => {
      const { stdout } = await js(`
    const os = require('os'), dns = require('dns/promises'), net = require('net');
    const fail = (p) => p.then(() => 'ok', (e) => e.code);
    const dial = (o) => new Promise((r) => { const s = net.connect(o); s.on('connect', () => r('ok')); s.on('error', (e) => r(e.code)); });
    (async () => console.log(JSON.stringify({
      interfaces: Object.keys(os.networkInterfaces()),
      links: require('fs').readdirSync('/sys/class/net'),
      localhost: (await dns.lookup('localhost')).address,
      name: await fail(dns.lookup('example.org')),
      address: await dial({ host: '192.0.2.1', port: 80 }),
      host: await dial({ host: '127.0.0.1', port: 22 }),
    })))()`);
      const seen = JSON.parse(stdout) as Record<string, unknown>;
      expect(seen).toMatchObject({
        interfaces: ['lo'],
        links: ['lo'],
        name: 'EAI_AGAIN',
        address: extra.ownKernel ? 'EHOSTUNREACH' : 'ENETUNREACH',
        host: 'ECONNREFUSED',
      });
      expect(['127.0.0.1', '::1']).toContain(seen['localhost']);
    });

    test('the root, the kernel’s settings and the hosts file are read-only', async () => {
      const { stdout } = await sh(
        'for f in /x /etc/x /etc/hosts /usr/x /proc/sys/kernel/hostname /sys/x /proc/sysrq-trigger /home/node/x; do (echo x > $f) 2>/dev/null && echo "wrote $f"; done; echo done',
      );
      expect(stdout).toBe('done\n');
    });

    test('every place that can be written is nosuid, nodev and bounded', async () => {
      const mounts: SandboxSpec['mounts'] = [
        overlay('flags'),
        { kind: 'tmpfs', target: '/tmp', sizeBytes: 4 * 1024 ** 2, executable: false },
      ];
      const { stdout } = await sh(
        'while read -r line; do echo "$line"; done < /proc/self/mounts; touch /workspace/a /tmp/a /dev/shm/a && echo wrote',
        { mounts },
      );
      expect(stdout).toContain('wrote\n');
      const flags = new Map(
        stdout.split('\n').flatMap((line) => {
          const [, target, type, options] = line.split(' ');
          return target === undefined ? [] : [[target, `${type} ${options}`] as const];
        }),
      );
      const targets = ['/tmp', '/dev/shm', ...(extra.dropsVolumeFlags ? [] : ['/workspace'])];
      // gVisor does not show these flags; that it opens no device is tested below.
      for (const target of extra.ownKernel ? [] : targets) {
        expect(flags.get(target)).toMatch(/nosuid,nodev/);
      }
      expect(flags.get('/tmp')).toContain('noexec');
      expect(flags.get('/')).toMatch(extra.ownKernel ? /9p ro,/ : /overlay ro,/);
    });

    test('host processes, devices and ipc are out of sight', async () => {
      const { stdout } = await sh(
        'ls /proc | grep -c "^[0-9]"; echo $(ls /dev | sort); ls -A /proc/acpi /proc/scsi 2>/dev/null | grep -v : ; cat /proc/keys /proc/kcore 2>/dev/null | wc -c; hostname',
      );
      const [processes, devices, ...rest] = stdout.trim().split('\n');
      expect(Number(processes)).toBeLessThan(8);
      // crun links /dev/core to /proc/kcore, which is masked (the line below); runc does not.
      const there = devices
        ?.trim()
        .split(' ')
        .filter((name) => name !== 'core');
      expect(there).toEqual(extra.ownKernel ? devicesOfGvisor : devicesAlways);
      expect(rest).toEqual(['0', 'sandbox']);
    });

    test('the environment is exactly the spec’s', async () => {
      const { stdout } = await js('console.log(JSON.stringify(process.env))', {
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp', ODD: 'a\nb="c" é' },
      });
      expect(JSON.parse(stdout)).toEqual({
        PATH: '/usr/local/bin:/usr/bin:/bin',
        HOME: '/tmp',
        ODD: 'a\nb="c" é',
      });
    });

    test('arguments arrive as they are', async () => {
      const args = ['a b', '$HOME', '"\'', '', '*', 'line\nbreak', 'é'];
      const { stdout } = await sandboxed([
        'node',
        '-e',
        'console.log(JSON.stringify(process.argv.slice(1)))',
        '--',
        ...args,
      ]);
      expect(JSON.parse(stdout)).toEqual(args);
    });

    test('a task cannot make namespaces, mount, trace or load', async () => {
      const { stdout } = await sh(
        // A device node by itself is a name; what counts is that it leads nowhere.
        'unshare -r true 2>/dev/null && echo unshare; mount -t tmpfs x /tmp 2>/dev/null && echo mount; chroot / true 2>/dev/null && echo chroot; mknod /tmp/n b 8 0 2>/dev/null; (: < /tmp/n) 2>/dev/null && echo mknod; echo done',
      );
      expect(stdout).toBe('done\n');
    });

    test('writes go to the upper layer, the lower one stays as it was', async () => {
      const mount = overlay('layers', { kept: 'old', changed: 'old', gone: 'old' });
      const result = await sh('echo new > changed; rm gone; mkdir d; echo x > d/made; ls', {
        mounts: [mount],
        cwd: '/workspace',
      });
      expect(result).toMatchObject({ exitCode: 0, stdout: 'changed\nd\nkept\n' });
      expect(readdirSync(mount.upper).toSorted()).toEqual(['changed', 'd', 'gone']);
      expect(readFileSync(path.join(mount.upper, 'd/made'), 'utf8')).toBe('x\n');
      expect(readFileSync(path.join(mount.lower[0] ?? '', 'changed'), 'utf8')).toBe('old');
    });

    test('a mount source behind a link is refused before the engine hears of it', async () => {
      const mount = overlay('linked');
      const link = path.join(real.layers, 'link');
      symlinkSync('/etc', link);
      const before = real.log.entries.length;
      await expect(sh('true', { mounts: [{ ...mount, lower: [link] }] })).rejects.toMatchObject({
        code: 'policy.denied',
      });
      expect(real.log.entries).toHaveLength(before);
    });

    test('too much memory ends the task as the memory limit', async () => {
      const limits = { ...testLimits, memoryBytes: 64 * 1024 ** 2 };
      const result = await js('const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))', {
        limits,
      });
      expect(result).toMatchObject({ outcome: 'limit', limit: 'memory', exitCode: 137 });
      expect(real.log.of('container.oom_killed').at(-1)?.data.memory_bytes).toBe(
        limits.memoryBytes,
      );
    });

    test('a task of which one process was killed for memory is not left running', async () => {
      const limits = { ...testLimits, memoryBytes: 64 * 1024 ** 2 };
      const script = `node -e 'const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))'; sleep 600; exit 0`;
      const result = await sh(script, { limits });
      expect(result).toMatchObject({ outcome: 'limit', limit: 'memory' });
      expect(result.durationMs).toBeLessThan(100_000);
    });

    test('processes are bounded, and a task that fails by it says so', async () => {
      const limits = { ...testLimits, pids: 12 };
      const script =
        // The shell that cannot fork ends at once; the one around it needs no process to linger.
        '(i=0; while [ $i -lt 40 ]; do sleep 2 & i=$((i+1)); done) 2>&1; i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; exit 3';
      const result = await sh(script, { limits });
      expect(result).toMatchObject({ outcome: 'limit', limit: 'pids' });
      expect(real.log.of('limit.exceeded').at(-1)?.data).toMatchObject({
        limit: 'pids',
        allowed: 12,
      });
    });

    test('a file past its size ends the task as the file size limit', async () => {
      const limits = { ...testLimits, fileSizeBytes: 1024 ** 2 };
      const mounts = [overlay('fsize')];
      const result = await sh('exec dd if=/dev/zero of=/workspace/big bs=1M count=4', {
        limits,
        mounts,
      });
      expect(result).toMatchObject({ outcome: 'limit', limit: 'file_size' });
    });

    test('a tmpfs is full at its size, in bytes and in files', async () => {
      const mounts: SandboxSpec['mounts'] = [
        { kind: 'tmpfs', target: '/tmp', sizeBytes: 1024 ** 2, executable: false },
      ];
      const { stdout } = await js(
        `const fs = require('fs');
    const fail = (work) => { try { work(); return 'ok'; } catch (e) { return e.code; } };
    console.log(fail(() => fs.writeFileSync('/tmp/a', Buffer.alloc(2 ** 21))));
    fs.rmSync('/tmp/a');
    console.log(fail(() => { for (let i = 0; i < 1100; i += 1) fs.writeFileSync('/tmp/f' + i, ''); }));`,
        { mounts },
      );
      // gVisor counts bytes only; the files are in the task's memory, which is bounded.
      expect(stdout).toBe(extra.ownKernel ? 'ENOSPC\nok\n' : 'ENOSPC\nENOSPC\n');
    });

    test('open files and core dumps are bounded', async () => {
      const { stdout } = await sh('ulimit -n; ulimit -c; ulimit -Hn');
      expect(stdout).toBe('1024\n0\n1024\n');
    });

    test('a flood of output is cut and ends the task', async () => {
      const limits = { ...testLimits, outputBytes: 100_000 };
      const result = await sh('yes', { limits });
      expect(result).toMatchObject({ outcome: 'limit', limit: 'output', outputBytes: 100_000 });
      expect(result.stdout).toHaveLength(100_000);
    });

    test('a task past its time is ended, its children too', async () => {
      const limits = { ...testLimits, timeoutMs: 300 };
      const result = await sh('trap "" TERM; sleep 100 & sleep 100', { limits });
      expect(result).toMatchObject({ outcome: 'timed_out', exitCode: 137 });
    });

    test('a cancelled task ends by SIGTERM without waiting for the grace period', async () => {
      const controller = new AbortController();
      const heard = { write: () => Promise.resolve(controller.abort()) };
      const slots = withoutSlots(real.engine);
      const result = await runInSandbox(
        { ...real, slots },
        {
          permit: real.permit({ command: ['sh', '-c', 'echo; sleep 100'] }),
          context,
          output: heard,
          signal: controller.signal,
        },
      );
      await slots.settled();
      expect(result).toMatchObject({ outcome: 'cancelled', signal: 'SIGTERM' });
    });

    test('a program that is not there is a failed task, not a failed engine', async () => {
      const result = await sandboxed(['no-such-program']);
      expect(result).toMatchObject({ outcome: 'exited', exitCode: 127 });
    });

    test('memory and processor time of a task are told', async () => {
      const { usage } = await js(
        'const b = Buffer.alloc(50e6, 1); const t = Date.now(); while (Date.now() - t < 400); b.length',
      );
      expect(usage.memoryPeakBytes).toBeGreaterThan(50e6);
      expect(usage.cpuMs).toBeGreaterThan(50);
    });

    test('the log holds what inspection said, and the sweep finds nothing after a task', async () => {
      const before = real.log.entries.length;
      await sh('true');
      const created = real.log.entries.slice(before).find(({ stage }) => stage === 'result');
      expect(created).toMatchObject({
        type: 'container.create',
        data: {
          settings: {
            image: real.image.id,
            user: '1000:1000',
            network: 'none',
            seccomp: seccompName(shippedSeccomp().json),
            caps_dropped: ['ALL'],
            readonly_root: true,
          },
        },
      });
      const log = Object.assign(real.log, { runState: () => undefined });
      const parts = { engine: real.engine, log, clock: real.clock, install: real.install };
      expect(await sweepStrays(parts)).toEqual({ removed: 0, left: 0, failed: 0 });
    });

    test('containers that a dead daemon left running are swept away', async () => {
      const { id } = await real.engine.create(real.permit({ command: ['sleep', '100'] }), context);
      await real.engine.start(id, context);
      const log = Object.assign(real.log, { runState: () => undefined });
      const parts = { engine: real.engine, log, clock: real.clock, install: real.install };
      expect(await sweepStrays({ ...parts, graceMs: 60_000 })).toMatchObject({
        removed: 0,
        left: 1,
      });
      expect(await sweepStrays(parts)).toEqual({ removed: 1, left: 0, failed: 0 });
      expect(real.log.of('container.reconciled').at(-1)?.data).toMatchObject({ found: 'running' });
    });

    test('many tasks at once keep to themselves and leave nothing', async () => {
      const runs = await Promise.all(
        Array.from({ length: 8 }, (_, n) =>
          sh(`echo ${n} > /tmp/n; sleep 0.3; cat /tmp/n; ls /tmp`),
        ),
      );
      expect(runs.map(({ stdout }) => stdout)).toEqual(runs.map((_, n) => `${n}\nn\n`));
    });
  });
}
