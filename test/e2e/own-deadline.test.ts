import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { RunView } from '#contract/run.ts';
import { findEngine, parseHost } from '#setup/engine/find.ts';
import { askJson } from '#setup/engine/http.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { podmanMissing, startPodman } from '#test/support/podman.ts';

const missing = podmanMissing();
const engines = ['the engine of this machine', 'Podman'] as const;

describe.concurrent.each(engines)('on %s', (name) => {
  const skipped = name === 'Podman' ? missing : undefined;
  let podman: Awaited<ReturnType<typeof startPodman>> | undefined;
  let daemon: TestDaemon | undefined;

  beforeAll(async () => {
    if (skipped !== undefined) return;
    if (name === 'Podman') podman = await startPodman();
    daemon = await TestDaemon.start(podman === undefined ? [] : ['--engine', podman.host]);
  });
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await podman?.stop();
  });

  test.skipIf(skipped !== undefined)(
    'a sandbox ends at its own deadline when its daemon was killed and does not come back',
    // Of two tests that run side by side each has its own.
    async ({ expect }) => {
      if (daemon === undefined) throw new Error('no daemon');
      const dir = join(daemon.dir, 'work');
      mkdirSync(dir);
      // As much in the way of its end as a task can be.
      const script = 'echo up; trap "" TERM INT HUP; setsid sleep 600 & sleep 600';
      const task = { id: 'stays', tool: 'sh', args: ['-c', script], limits: { timeout: '4s' } };
      const plan = join(daemon.dir, 'plan.yaml');
      writeFileSync(plan, JSON.stringify({ version: 1, tasks: [task] }));
      await daemon.cli(['run', '--plan', plan, '--workspace', dir, '--detach']);
      // Only what has left its gate has a deadline of its own; before, it ends with its daemon.
      const output = join(daemon.stateDir, 'output');
      await expect.poll(() => bytesBeneath(output), { timeout: 30_000 }).toBeGreaterThan(0);
      const list = await containersOf(daemon.stateDir, podman?.host);
      await expect.poll(async () => (await list()).length).toBeGreaterThan(0);
      await daemon.stop('SIGKILL');
      await expect
        .poll(async () => (await list()).filter(({ State }) => State === 'running'), {
          timeout: 60_000,
          interval: 500,
        })
        .toEqual([]);
      // Whoever starts the daemon again finds nothing of it.
      await daemon.restart(podman === undefined ? [] : ['--engine', podman.host]);
      await expect.poll(async () => (await view()).state).toBe('timed_out');
      const { exitCode, tasks } = await view();
      expect([exitCode, tasks[0]?.attempt, tasks[0]?.limit]).toEqual([3, 1, 'timeout']);
      expect((await list()).filter(({ Names }) => !/-slot-/.test(Names[0] ?? ''))).toEqual([]);
    },
  );

  async function view(): Promise<RunView> {
    const shown = await daemon?.cli(['show', '@last', '--json']);
    return JSON.parse(shown?.stdout ?? '') as RunView;
  }
});

type Listed = { Names: string[]; State: string };

/** Asks the engine itself for everything that this daemon made, without the daemon. */
async function containersOf(stateDir: string, host?: string): Promise<() => Promise<Listed[]>> {
  const log = readFileSync(join(stateDir, 'audit/segments/0000000000000000.jsonl'), 'utf8');
  const genesis = JSON.parse(log.slice(0, log.indexOf('\n'))) as { data: { origin: string } };
  const install = hash('sha256', genesis.data.origin, 'hex').slice(0, 8);
  const filters = JSON.stringify({ label: [`orchestra.install=${install}`] });
  const path = `/containers/json?all=1&filters=${encodeURIComponent(filters)}`;
  const endpoint = parseHost(host ?? (await findEngine({ env: process.env })).host);
  return async () => (await askJson(endpoint, { path, timeoutMs: 10_000 })) as Listed[];
}

function bytesBeneath(dir: string): number {
  if (!existsSync(dir)) return 0;
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(dir, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
}
