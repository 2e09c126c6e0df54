import { hash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AnyRecord } from '#contract/records.ts';
import type { ContinueRun } from '#contract/run.ts';
import { openIndex } from '#daemon/audit/index-db.ts';
import { acknowledgeLoss, openLog } from '#daemon/audit/log.ts';
import { allRoutes } from '#daemon/http/routes/index.ts';
import { workspaceTarget, type SandboxSpec } from '#daemon/policy/spec.ts';
import { FakeEngine } from '#test/support/fake-engine.ts';
import { FakeRegistry, makeTarball } from '#test/support/fake-registry.ts';
import { frames, imageId, Orchestra, user, type Gate } from '#test/support/orchestra.ts';
import { person } from '#test/support/asked.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';
import { vi } from 'vitest';
import { project } from '../provision/harness.ts';

/** Where scenarios are played: one daemon that many share, or one of their own. */
export type Theatre = {
  shared: Orchestra;
  registry: FakeRegistry;
  open(options?: {
    policies?: string;
    stateDir?: string;
    after?: Orchestra;
    /** An engine that says it has this version, of which everything is accepted. */
    runc?: string;
  }): Promise<Orchestra>;
};

export type Scenario = {
  name: string;
  /** Plays it and gives what is then on record: of its run, or of its own daemon. */
  play(theatre: Theatre): Promise<AnyRecord[]>;
  /** All of it, in order, in words. */
  trail: readonly string[];
};

/** A caller who takes every byte and keeps none. */
function nobody(): ServerResponse {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  response.write = (_bytes: unknown, ...rest: unknown[]) => {
    (rest.at(-1) as () => void)();
    return true;
  };
  return response;
}

const planned = ['run.submitted', 'plan.requested', 'plan.made', 'run.accepted'];
const started = (task: string) =>
  [
    'policy.decided',
    'task.started',
    'container.create intent',
    'container.create result',
    'container.start intent',
    'container.start result',
    'sandbox.receipt',
    'container.release intent',
    'container.release result',
  ].map((words) => `${words} ${task}`);
const signalled = (task: string) => [
  `container.signal intent ${task}`,
  `container.signal result ${task}`,
];
const removed = (task: string) => [
  `container.remove intent ${task}`,
  `container.remove result ${task}`,
];
const failed = (task: string) => [
  `layer.dropped ${task}`,
  `failure.classified ${task}`,
  `task.finished failed ${task}`,
];
/** An attempt for which the engine would not make a sandbox. */
const refused = (task: string) =>
  [
    'policy.decided',
    'task.started',
    'container.create intent',
    'container.create result failed',
    'container.remove intent',
    'container.remove result',
    'layer.dropped',
    'failure.classified',
    'attempt.ended failed',
    'retry.scheduled',
  ].map((words) => `${words} ${task}`);
const cancelled = (task: string) => [`layer.dropped ${task}`, `task.finished failed ${task}`];
const closedFailed = ['checkpoint.saved', 'run.closed failed'];

const build = { id: 'build', tool: 'node', args: ['build.js'] };
const after = { id: 'after', tool: 'node', args: ['after.js'], deps: ['build'] };
const dist = { name: 'dist', path: 'dist.txt' };

/** Does something in the layer that the task writes to. */
const inLayer = (act: (upper: string) => void) => (spec: SandboxSpec) => {
  for (const mount of spec.mounts) {
    if (mount.kind === 'overlay' && mount.target === workspaceTarget) act(mount.upper);
  }
};

/** Writes one file into what the task sees. */
const writes = (name: string, text: string) =>
  inLayer((upper) => writeFileSync(join(upper, name), text));

async function recordsOf(it: Orchestra, run: string): Promise<AnyRecord[]> {
  await it.ended(run);
  return it.records(run);
}

/** Plays on the shared daemon and cleans up after itself. */
function onShared(play: (it: Orchestra, theatre: Theatre) => Promise<string>): Scenario['play'] {
  return async (theatre) => {
    const { shared } = theatre;
    try {
      return await recordsOf(shared, await play(shared, theatre));
    } finally {
      // A scenario that broke off may have left the clock standing.
      vi.useRealTimers();
      shared.programs.clear();
      shared.fake.tamper = (effective) => effective;
      shared.listen();
    }
  };
}

/** The run that goes on from another. */
async function goOn(
  it: Orchestra,
  run: string,
  request: Partial<ContinueRun> & Pick<ContinueRun, 'mode'>,
): Promise<string> {
  const { id } = await it.rooms.runs.goOn(run, { again: false, dryRun: false, ...request }, user);
  return id ?? '';
}

/** Without a pause before another attempt. */
async function atOnce<R>(work: () => Promise<R>): Promise<R> {
  // Of waits that are ours the half is sure: this takes that half away as well.
  const chance = vi.spyOn(Math, 'random').mockReturnValue(-1);
  try {
    return await work();
  } finally {
    chance.mockRestore();
  }
}

/** Does something once the first task of a run is at work. */
function onceRunning(it: Orchestra, act: () => unknown): void {
  let isDone = false;
  it.listen((call) => {
    if (call !== 'wait' || isDone) return;
    isDone = true;
    setImmediate(() => void act());
  });
}

/**
 * The task is at work when the time is over, however slow this machine is. A task that survives the
 * polite signal has had its time of grace as soon as it got that one.
 */
function timeIsOverOnceRunning(it: Orchestra, ms: number, { graceMs = 0 } = {}): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const pass = (time: number, isLast: boolean) =>
    setImmediate(() => {
      vi.advanceTimersByTime(time);
      if (isLast) vi.useRealTimers();
    });
  it.listen((call) => {
    if (call === 'wait') pass(ms, graceMs === 0);
    if (call === 'signal SIGTERM' && graceMs > 0) pass(graceMs, true);
  });
}

let packages = 0;

/** A project with one package that no run had before, and what the registry says to it. */
async function dependsOnOne({ registry, shared }: Theatre, isHonest: boolean) {
  const name = `left-${process.pid}-${packages++}`;
  const tarball = await makeTarball({ 'package.json': JSON.stringify({ name, version: '1.0.0' }) });
  const path = `/${name}/-/${name}-1.0.0.tgz`;
  registry.answer(path, (_, response) => {
    shared.moments.push({ what: 'registry', path });
    response.end(isHonest ? tarball : Buffer.from('another'));
  });
  const integrity = `sha512-${hash('sha512', tarball, 'base64')}`;
  const { lockfile, manifest } = project({
    [`node_modules/${name}`]: { version: '1.0.0', integrity },
  });
  return { 'package.json': manifest, 'package-lock.json': lockfile };
}

const install = { id: 'install', tool: 'npm', args: ['ci'] };

export const scenarios: readonly Scenario[] = [
  {
    name: 'a run with an artifact and a task after it',
    play: onShared((it) => {
      it.programs.set('build', { output: [[1, 'hi']], effect: writes('dist.txt', 'x') });
      return it.submit([{ ...build, outputs: [dist] }, after]);
    }),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'artifact.collected build',
      'layer.sealed build',
      'task.finished build',
      ...started('after'),
      'container.exited after',
      ...removed('after'),
      'layer.sealed after',
      'task.finished after',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a task that leaves what is not taken along',
    play: onShared((it) => {
      const effect = inLayer((upper) => {
        mkdirSync(join(upper, 'out'));
        symlinkSync('/etc/passwd', join(upper, 'out/link'));
        writeFileSync(join(upper, 'tool'), 'x');
        chmodSync(join(upper, 'tool'), 0o4755);
      });
      it.programs.set('build', { effect });
      return it.submit([{ ...build, outputs: [{ name: 'out', path: 'out' }] }]);
    }),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'artifact.collected build',
      'artifact.left_out build',
      'layer.sealed build',
      'layer.left_out build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a run that needs a package',
    play: onShared(async (it, theatre) =>
      it.submit([install], { files: await dependsOnOne(theatre, true) }),
    ),
    trail: [
      ...planned,
      'provision.requested',
      'package.fetched intent',
      'package.fetched result',
      'provision.finished',
      ...started('install'),
      'container.exited install',
      ...removed('install'),
      'layer.sealed install',
      'task.finished install',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a package whose bytes are not those of the lockfile',
    play: onShared(async (it, theatre) =>
      it.submit([install], { files: await dependsOnOne(theatre, false) }),
    ),
    trail: [
      ...planned,
      'provision.requested',
      'package.fetched intent',
      'package.fetched result failed',
      'package.refused denied',
      'provision.finished failed',
      'run.refused denied',
      'run.closed failed',
    ],
  },
  {
    name: 'a task that fails, and one that waited for it',
    play: onShared((it) => {
      it.programs.set('build', { exitCode: 3 });
      return it.submit([build, after]);
    }),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited failed build',
      ...removed('build'),
      ...failed('build'),
      'task.skipped after',
      ...closedFailed,
    ],
  },
  {
    name: 'a task that the filter of system calls kills',
    play: onShared((it) => {
      it.programs.set('build', { exitCode: 159, output: [[2, 'Bad system call']] });
      return it.submit([build, after]);
    }),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited failed build',
      'sandbox.violation denied build',
      ...removed('build'),
      ...failed('build'),
      'task.skipped after',
      ...closedFailed,
    ],
  },
  {
    name: 'a task without the output that it promised',
    // By a name of its own: one that passed before would be tried again.
    play: onShared((it) => it.submit([{ ...build, args: ['nothing.js'], outputs: [dist] }])),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'artifact.rejected denied build',
      ...failed('build'),
      ...closedFailed,
    ],
  },
  {
    name: 'a task past its time',
    play: onShared((it) => {
      it.programs.set('build', { hang: true, survives: 'SIGTERM' });
      timeIsOverOnceRunning(it, 5_000, { graceMs: 20 });
      return it.submit([{ ...build, timeout: '5s' }]);
    }),
    trail: [
      ...planned,
      ...started('build'),
      ...signalled('build'),
      ...signalled('build'),
      'container.exited failed build',
      'container.killed build',
      'limit.exceeded denied build',
      ...removed('build'),
      ...failed('build'),
      ...closedFailed,
    ],
  },
  {
    name: 'a run past its time',
    play: onShared((it) => {
      it.programs.set('build', { hang: true });
      timeIsOverOnceRunning(it, 5_000);
      return it.submit([build, after], { timeoutMs: 5_000 });
    }),
    trail: [
      ...planned,
      ...started('build'),
      ...signalled('build'),
      'container.exited failed build',
      'container.killed build',
      ...removed('build'),
      ...failed('build'),
      'task.skipped after',
      'run.timed_out failed',
      ...closedFailed,
    ],
  },
  {
    name: 'a run that its user cancels',
    play: onShared(async (it) => {
      it.programs.set('build', { hang: true });
      let id = '';
      const asked = Promise.withResolvers<unknown>();
      onceRunning(it, () => asked.resolve(it.rooms.runs.cancel(id, 'changed my mind', user)));
      id = await it.submit([build]);
      await asked.promise;
      return id;
    }),
    trail: [
      ...planned,
      ...started('build'),
      'run.cancel.requested',
      ...signalled('build'),
      'container.exited failed build',
      'container.killed build',
      ...removed('build'),
      ...cancelled('build'),
      'run.cancelled',
      ...closedFailed,
    ],
  },
  {
    name: 'a sandbox that the policy denies at the last moment',
    play: onShared((it) => {
      const { text } = it.rooms.deps.policies.get('ci');
      const policy = text.replace('userns: preferred', 'userns: required');
      return it.submit([build], { policy: { text: policy, file: 'ci.yaml' } });
    }),
    trail: [...planned, 'policy.decided denied build', ...failed('build'), ...closedFailed],
  },
  {
    name: 'a plan that the policy denies as a whole',
    play: onShared((it) =>
      it.submit([{ ...build, tool: 'exec', args: ['ls'] }], { policy: { name: 'strict' } }),
    ),
    trail: [
      'run.submitted',
      'plan.requested',
      'policy.decided denied',
      'run.refused denied',
      'run.closed failed',
    ],
  },
  {
    name: 'a plan that is none',
    play: onShared((it) => it.submit([{ ...build, deps: ['nobody'] }])),
    trail: [
      'run.submitted',
      'plan.requested',
      'plan.failed failed',
      'run.refused denied',
      'run.closed failed',
    ],
  },
  {
    name: 'an engine that does not make the container',
    play: onShared((it) =>
      atOnce(() => {
        it.fake.failNext('create');
        return it.run([build]);
      }),
    ),
    trail: [
      ...planned,
      'policy.decided build',
      'task.started build',
      'container.create intent build',
      'container.create result failed build',
      ...removed('build'),
      'layer.dropped build',
      'failure.classified build',
      'attempt.ended failed build',
      'retry.scheduled build',
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'an engine that makes the container and never says so',
    play: onShared((it) =>
      atOnce(() => {
        it.fake.failNext('create', 'lose');
        return it.run([build]);
      }),
    ),
    trail: [
      ...planned,
      'policy.decided build',
      'task.started build',
      'container.create intent build',
      'container.create result unknown build',
      ...removed('build'),
      'layer.dropped build',
      'attempt.unknown unknown build',
      'failure.classified build',
      'attempt.ended failed build',
      'retry.scheduled build',
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a failed run that somebody resumes',
    play: onShared(async (it) => {
      it.programs.set('build', { effect: writes('dist.txt', 'x') });
      it.programs.set('after', { exitCode: 1 });
      const first = await it.run([{ ...build, outputs: [dist] }, after]);
      it.programs.delete('after');
      return goOn(it, first, { mode: 'resume' });
    }),
    trail: [
      ...planned,
      'artifact.collected build',
      'task.cached build',
      ...started('after'),
      'container.exited after',
      ...removed('after'),
      'layer.sealed after',
      'task.finished after',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'one task of a run that runs again, and the rest that does not',
    play: onShared(async (it) => {
      const lint = { id: 'lint', tool: 'node', args: ['lint.js'] };
      it.programs.set('lint', { exitCode: 1 });
      const first = await it.run([build, lint]);
      return goOn(it, first, { mode: 'retry', task: 'build' });
    }),
    trail: [
      ...planned,
      'task.skipped lint',
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a task that was done before',
    play: onShared(async (it) => {
      it.programs.set('build', { effect: writes('dist.txt', 'x') });
      const tasks = [{ ...build, args: ['same.js'], outputs: [dist] }];
      await it.run(tasks, { cache: true });
      return it.submit(tasks, { cache: true });
    }),
    trail: [
      ...planned,
      'artifact.collected build',
      'task.cached build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a run that is cancelled while it waits for an equal task of another',
    play: onShared(async (it) => {
      const tasks = [{ ...build, args: ['slow.js'] }];
      it.programs.set('build', { hang: true });
      const running = Promise.withResolvers<void>();
      onceRunning(it, () => running.resolve());
      const first = await it.submit(tasks, { cache: true });
      await running.promise;
      const second = await it.submit(tasks, { cache: true });
      const isAccepted = () => it.rooms.deps.states.find(second)?.state === 'running';
      await vi.waitUntil(isAccepted, { interval: 5 }).catch(() => {});
      await it.rooms.runs.cancel(second, 'not worth the wait', user);
      await it.ended(second);
      await it.rooms.runs.cancel(first, 'over', user);
      return second;
    }),
    trail: [
      ...planned,
      'run.cancel.requested',
      'task.skipped build',
      'run.cancelled',
      ...closedFailed,
    ],
  },
  {
    name: 'a run that is cancelled between two attempts',
    play: onShared(async (it) => {
      it.programs.set('build', { exitCode: 1 });
      const chance = vi.spyOn(Math, 'random').mockReturnValue(0.99);
      try {
        const id = await it.submit([{ ...build, args: ['fails.js'], retries: 1 }]);
        const isWaiting = () =>
          it.rooms.deps.states.find(id)?.tasks.get('build')?.state === 'retry_wait';
        await vi.waitUntil(isWaiting, { interval: 5 }).catch(() => {});
        await it.rooms.runs.cancel(id, 'it will not', user).catch(() => {});
        return id;
      } finally {
        chance.mockRestore();
      }
    }),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited failed build',
      ...removed('build'),
      'layer.dropped build',
      'failure.classified build',
      'attempt.ended failed build',
      'retry.scheduled build',
      'run.cancel.requested',
      'task.finished failed build',
      'run.cancelled',
      ...closedFailed,
    ],
  },
  {
    name: 'a task that waits for an engine that is out of order',
    play: onShared(async (it) => {
      for (let times = 0; times < 3; times += 1) it.fake.failNext('create');
      return atOnce(() => it.run([build]));
    }),
    trail: [
      ...planned,
      ...refused('build'),
      ...refused('build'),
      ...refused('build'),
      'task.blocked build',
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a run that is paused and goes on',
    play: onShared(async (it) => {
      const running = Promise.withResolvers<void>();
      it.programs.set('build', { delayMs: 30 });
      onceRunning(it, () => running.resolve());
      const id = await it.submit([build, after]);
      await running.promise;
      await it.rooms.runs.pause(id, { kind: 'drain', reason: 'lunch' }, user);
      const facts = it.rooms.deps.states.find(id);
      const isBuilt = () => facts?.tasks.get('build')?.state === 'succeeded';
      try {
        if (facts?.paused === undefined) throw new Error('nobody knows that it is paused');
        await vi.waitUntil(isBuilt, { interval: 5 });
        await goOn(it, id, { mode: 'resume' });
      } catch {
        await it.rooms.runs.cancel(id, 'the scenario did not go as it should', user);
      }
      return id;
    }),
    trail: [
      ...planned,
      ...started('build'),
      'run.pause.requested',
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'run.unpaused',
      ...started('after'),
      'container.exited after',
      ...removed('after'),
      'layer.sealed after',
      'task.finished after',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'an engine that makes another container than it was told',
    play: onShared((it) => {
      it.fake.tamper = (effective) => ({
        ...effective,
        settings: { ...effective.settings, privileged: true },
      });
      return it.submit([build]);
    }),
    trail: [
      ...planned,
      'policy.decided build',
      'task.started build',
      'container.create intent build',
      'container.create result build',
      'container.settings.mismatch denied build',
      ...removed('build'),
      ...failed('build'),
      ...closedFailed,
    ],
  },
  {
    name: 'a flood of output',
    play: onShared((it) => {
      it.programs.set('build', { hang: true, output: [[1, 'x'.repeat(5000)]] });
      return it.submit([{ ...build, limits: { output: '4KiB' } }]);
    }),
    trail: [
      ...planned,
      ...started('build'),
      ...signalled('build'),
      'container.exited failed build',
      'container.killed build',
      'limit.exceeded denied build',
      ...removed('build'),
      ...failed('build'),
      ...closedFailed,
    ],
  },
  {
    name: 'a task that is killed for memory',
    play: onShared((it) => {
      it.programs.set('build', { exitCode: 137, oomKilled: true });
      return it.submit([build]);
    }),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited failed build',
      'container.oom_killed build',
      'limit.exceeded denied build',
      ...removed('build'),
      ...failed('build'),
      ...closedFailed,
    ],
  },
  {
    name: 'an image that is not the pinned one any more',
    play: onShared(async (it) => {
      const { images } = it.fake;
      const pinned = images.get('node:20-alpine');
      if (!pinned) throw new Error('there is no image');
      images.set(pinned.reference, { ...pinned, id: `sha256:${'2'.repeat(64)}` });
      try {
        const id = await it.submit([build]);
        await it.ended(id);
        return id;
      } finally {
        images.set(pinned.reference, { ...pinned, id: imageId });
      }
    }),
    trail: ['run.submitted', 'image.refused denied', 'run.refused denied', 'run.closed failed'],
  },
  {
    name: 'a fault of our own in the middle of a task',
    play: onShared(async (it) => {
      const { layers } = it.rooms.deps.workspace;
      const seal = layers.seal.bind(layers);
      layers.seal = () => Promise.reject(new TypeError('ours'));
      try {
        const id = await it.submit([build]);
        await it.ended(id);
        return id;
      } finally {
        layers.seal = seal;
      }
    }),
    trail: [
      ...planned,
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'layer.dropped build',
      'task.finished unknown build',
      'run.refused denied',
      'run.closed failed',
    ],
  },
  {
    name: 'those who bring a workspace, read the log, fetch an artifact or pin an image',
    play: async ({ shared: it }) => {
      it.programs.set('build', { effect: writes('dist.txt', 'x') });
      const id = await it.run([{ ...build, outputs: [dist] }]);
      it.programs.clear();
      const from = it.log.size;
      await using index = await closable(openIndex({ dir: it.rooms.auditDir, log: it.log }));
      const routes = allRoutes({
        runs: it.rooms.runs,
        runsDeps: it.rooms.deps,
        index: index.value,
        auditDir: it.rooms.auditDir,
        access: it.rooms.access,
        readers: [],
        settings: [],
        doctor: () => Promise.resolve([]),
        isStopping: () => false,
      });
      const call = (param: Record<string, string> = {}, more: object = {}) =>
        ({ param: (name: string) => param[name] ?? '', query: {}, actor: user, ...more }) as never;
      await routes.snapshotPut(call({}, { incoming: frames({ 'package.json': '{}' }) }));
      await routes.artifactGet(call({ id, task: 'build', name: 'dist' }));
      await routes.auditShow(call({ seq: '0' }));
      await routes.auditVerify(call({}, { body: { keys: [], checkpoints: [] } }));
      await routes.auditTiles(call({}, { outgoing: nobody() }));
      await it.rooms.deps.images.pin(it.log, 'node:20-alpine', user);
      return (await it.records()).slice(from);
    },
    trail: [
      'input.copied',
      'artifact.downloaded build',
      'log.read',
      'log.verified',
      'log.read',
      'image.resolved',
    ],
  },
  {
    name: 'a sandbox that no policy may allow',
    play: async ({ shared: it }) => {
      const from = it.log.size;
      const permit = it.rooms.deps.office.mint({ ...testSpec(), user: { uid: 0, gid: 0 } });
      await it.rooms.deps.engine.create(permit, { task: 'build' }).catch(() => {});
      return (await it.records()).slice(from);
    },
    trail: ['policy.decided denied build'],
  },
  {
    name: 'a daemon that starts for the first time and ends',
    play: async (theatre) => stopped(await theatre.open()),
    trail: [
      'log.genesis',
      'key.created',
      'daemon.started',
      'config.loaded',
      'policy.loaded',
      'policy.loaded',
      'policy.loaded',
      'daemon.stopping',
      'daemon.stopped',
    ],
  },
  {
    name: 'the first run of all',
    play: async (theatre) => {
      const it = await theatre.open();
      return recordsOf(it, await it.submit([build]));
    },
    trail: [
      'run.submitted',
      'image.resolved',
      ...planned.slice(1),
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a daemon that is stopped while a task runs',
    play: async (theatre) => {
      const it = await theatre.open();
      it.programs.set('build', { hang: true });
      const atWork = Promise.withResolvers<void>();
      onceRunning(it, () => atWork.resolve());
      await it.submit([build]);
      await atWork.promise;
      const records = await stopped(it);
      return records.slice(records.findIndex(({ type }) => type === 'task.started'));
    },
    trail: [
      ...started('build').slice(1),
      'daemon.stopping',
      ...signalled('build'),
      'container.exited failed build',
      'container.killed build',
      ...removed('build'),
      ...cancelled('build'),
      'run.cancelled',
      ...closedFailed,
      'daemon.stopped',
    ],
  },
  {
    name: 'a run that stands still and goes on',
    play: onShared(async (it) => {
      const running = Promise.withResolvers<void>();
      it.programs.set('build', { delayMs: 100 });
      onceRunning(it, () => running.resolve());
      const id = await it.submit([build]);
      await running.promise;
      try {
        await it.rooms.runs.pause(id, { kind: 'freeze', reason: 'lunch' }, user);
        await goOn(it, id, { mode: 'resume' });
      } catch {
        await it.rooms.runs.cancel(id, 'the scenario did not go as it should', user);
      }
      if (it.rooms.deps.states.find(id)?.state === 'running') return id;
      await it.rooms.runs.cancel(id, 'it should run', user).catch(() => {});
      return id;
    }),
    trail: [
      ...planned,
      ...started('build'),
      'run.pause.requested',
      'container.freeze intent build',
      'container.freeze result build',
      'run.unpaused',
      'container.thaw intent build',
      'container.thaw result build',
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
    ],
  },
  {
    name: 'a daemon that is stopped and leaves its run to the next',
    play: async (theatre) => {
      const it = await theatre.open();
      it.programs.set('build', { hang: true });
      const atWork = Promise.withResolvers<void>();
      onceRunning(it, () => atWork.resolve());
      await it.submit([build, after]);
      await atWork.promise;
      await it.rooms.endRuns('SIGTERM', { leave: true });
      await it.rooms.recordEnd();
      const records = await it.records();
      return records.slice(records.findIndex(({ type }) => type === 'task.started'));
    },
    trail: [
      ...started('build').slice(1),
      'daemon.stopping',
      ...signalled('build'),
      'container.exited failed build',
      'container.killed build',
      ...removed('build'),
      'layer.dropped build',
      'attempt.ended failed build',
      'daemon.stopped',
    ],
  },
  {
    name: 'a daemon that starts after one that was killed in the middle of a task',
    play: async (theatre) => {
      const first = await theatre.open();
      first.programs.set('build', { hang: true });
      const atWork = Promise.withResolvers<void>();
      onceRunning(first, () => atWork.resolve());
      await first.submit([build]);
      await atWork.promise;
      const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-crashed-'));
      try {
        cpSync(first.stateDir, stateDir, { recursive: true });
        // Half an attempt of which the log knows nothing.
        mkdirSync(join(stateDir, 'l/0123456789'));
        const left = first.log.size;
        first.programs.delete('build');
        const second = await theatre.open({ stateDir, after: first });
        const [open] = second.log.openRuns();
        await second.ended(open ?? '');
        const records = await stopped(second);
        return records.slice(left);
      } finally {
        rmSync(stateDir, { recursive: true, force: true });
      }
    },
    trail: [
      'daemon.started',
      'daemon.crashed failed',
      'config.loaded',
      'workspace.cleaned',
      'policy.loaded',
      'policy.loaded',
      'policy.loaded',
      'container.reconciled build',
      ...removed('build'),
      'workspace.cleaned',
      'attempt.ended unknown build',
      'run.recovered',
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'layer.sealed build',
      'task.finished build',
      'checkpoint.saved',
      'run.closed',
      'daemon.stopping',
      'daemon.stopped',
    ],
  },
  {
    name: 'a daemon with a policy that nobody can read',
    play: async (theatre) => {
      const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-policy-'));
      const policies = join(stateDir, 'policies');
      cpSync(new URL('../../../policies', import.meta.url).pathname, policies, { recursive: true });
      writeFileSync(join(policies, 'zz.yaml'), 'version: 1\nname: zz\nimage: []\n');
      for (const name of ['ci', 'default', 'strict']) rmSync(join(policies, `${name}.yaml`));
      try {
        await theatre.open({ policies, stateDir }).catch(() => {});
        return await readBack(stateDir);
      } finally {
        rmSync(stateDir, { recursive: true, force: true });
      }
    },
    trail: [
      'log.genesis',
      'key.created',
      'daemon.started',
      'config.loaded',
      'policy.rejected denied',
    ],
  },
  {
    name: 'a daemon on a runtime that is known to be broken, as the operator accepted',
    play: async (theatre) => stopped(await theatre.open({ runc: '1.1.11' })),
    trail: [
      'log.genesis',
      'key.created',
      'daemon.started',
      'config.loaded',
      'runtime.accepted',
      'policy.loaded',
      'policy.loaded',
      'policy.loaded',
      'daemon.stopping',
      'daemon.stopped',
    ],
  },
  {
    name: 'a log that rotates, is torn, and then loses a record',
    play: async () => {
      const stateDir = mkdtempSync(join(tmpdir(), 'orchestra-log-'));
      const dir = join(stateDir, 'audit');
      const options = { dir, version: '0', origin: 'test', reserveBytes: 0, segmentBytes: 600 };
      const note = { type: 'daemon.stopping', data: { reason: 'x' } } as const;
      const newest = () => {
        const [name] = readdirSync(join(dir, 'segments')).toSorted().toReversed();
        return join(dir, 'segments', name ?? '');
      };
      try {
        const first = await openLog(options);
        await first.append(note);
        await first.append(note);
        await first.close();
        appendFileSync(newest(), '{"half":');
        const second = await openLog({ ...options, segmentBytes: 1e6 });
        await second.append(note);
        await second.close();
        const text = readFileSync(newest(), 'utf8');
        writeFileSync(newest(), text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1));
        await acknowledgeLoss({ ...options, segmentBytes: 1e6 }, 'the disk was bad');
        return await readBack(stateDir);
      } finally {
        rmSync(stateDir, { recursive: true, force: true });
      }
    },
    trail: [
      'log.genesis',
      'daemon.stopping',
      'log.segment.closed',
      'log.segment.opened',
      'daemon.stopping',
      'log.recovered',
      'log.loss.acknowledged',
    ],
  },
  {
    name: 'a secret that is set, granted, shown by another task, and removed',
    play: async (theatre) => {
      const policies = grantingPolicies('- { name: TOKEN, tools: [node], tasks: [after] }');
      try {
        const it = await theatre.open({ policies });
        await it.rooms.deps.images.pin(it.log, 'node:20-alpine', user);
        const from = it.log.size;
        const { secrets } = it.rooms.deps;
        await secrets.set('TOKEN', Buffer.from('a-value-of-a-secret'), user);
        it.programs.set('build', { output: [[1, 'it is a-value-of-a-secret']] });
        await it.run([build, { ...after, secrets: ['TOKEN'] }]);
        await secrets.remove('TOKEN', user);
        return (await it.records()).slice(from);
      } finally {
        rmSync(policies, { recursive: true });
      }
    },
    trail: [
      'secret.set intent',
      'secret.set result',
      ...planned,
      ...started('build'),
      'container.exited build',
      ...removed('build'),
      'secret.masked build',
      'layer.sealed build',
      'task.finished build',
      'policy.decided after',
      'task.started after',
      'secret.granted after',
      ...started('after').slice(2),
      'container.exited after',
      ...removed('after'),
      'layer.sealed after',
      'task.finished after',
      'checkpoint.saved',
      'run.closed',
      'secret.removed intent',
      'secret.removed result',
    ],
  },
  {
    name: 'a task that somebody said no to',
    async play(theatre) {
      const policies = askingPolicies();
      const it = await theatre.open({ policies });
      rmSync(policies, { recursive: true });
      await it.rooms.deps.images.pin(it.log, 'node:20-alpine', user);
      const run = await it.submit([{ id: 'deploy', tool: 'node', args: ['deploy.js'] }]);
      const { requests } = it.rooms.deps;
      await vi.waitFor(() => {
        const isOver = it.rooms.deps.states.find(run)?.closedAt !== undefined;
        if (requests.states.open().length === 0 && !isOver) throw new Error('nobody is asked');
      });
      const [request] = requests.states.open();
      if (request !== undefined) {
        const no = { digest: request.shown, answer: 'deny', reason: 'no' } as const;
        await requests.answer(request.id, no, person(2001)).catch(() => {});
        // Where its end is not on record everybody waits.
        if (request.state === 'open') await it.rooms.runs.cancel(run, 'nothing comes', user);
      }
      await it.ended(run);
      return it.records(run);
    },
    trail: [
      ...planned,
      'request.opened deploy',
      'request.answered denied deploy',
      'request.closed denied deploy',
      'failure.classified deploy',
      'task.finished failed deploy',
      'checkpoint.saved',
      'run.closed failed',
    ],
  },
];

/** The policies that ship, the default one with a rule that asks for every task. */
function askingPolicies(): string {
  const policies = mkdtempSync(join(tmpdir(), 'orchestra-policies-'));
  cpSync(new URL('../../../policies', import.meta.url).pathname, policies, { recursive: true });
  const rule = '{ id: all, when: "true", effect: ask, reason: looked at }';
  appendFileSync(join(policies, 'default.yaml'), `\nrules:\n  - ${rule}\n`);
  return policies;
}

/** The policies that ship, the default one with grants of secrets. */
function grantingPolicies(grants: string): string {
  const policies = mkdtempSync(join(tmpdir(), 'orchestra-policies-'));
  cpSync(new URL('../../../policies', import.meta.url).pathname, policies, { recursive: true });
  const path = join(policies, 'default.yaml');
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace('\nsecrets: []', `\nsecrets:\n  ${grants}`),
  );
  return policies;
}

/** Stops a daemon and reads what it left on disk. */
async function stopped(it: Orchestra): Promise<AnyRecord[]> {
  await it.stop();
  return readBack(it.stateDir);
}

async function readBack(stateDir: string): Promise<AnyRecord[]> {
  const dir = join(stateDir, 'audit');
  const log = await openLog({ dir, version: '0', origin: 'reader', reserveBytes: 0 });
  try {
    const lines = await Array.fromAsync(log.read());
    return lines.map(({ record }) => record as AnyRecord);
  } finally {
    await log.close();
  }
}

async function closable<T extends { close(): Promise<void> }>(opening: Promise<T>) {
  const value = await opening;
  return { value, [Symbol.asyncDispose]: () => value.close() };
}

/** A place for scenarios, with every record call going through `gate`. */
async function accepting(runc: string) {
  const engine = new FakeEngine();
  const facts = await engine.facts();
  engine.facts = async () => ({ ...facts, components: [{ name: 'runc', version: runc }] });
  return { engine, config: { acceptedEscapes: ['CVE-2024-21626'] } };
}

export async function openTheatre(gate: {
  now: Gate;
}): Promise<Theatre & AsyncDisposable & { clear(): Promise<void> }> {
  const registry = await FakeRegistry.open();
  const throughGate: Gate = (entry, site) => gate.now(entry, site);
  const env = { npm_config_registry: registry.url };
  const shared = await Orchestra.open({ gate: throughGate, env });
  await shared.rooms.deps.images.pin(shared.log, 'node:20-alpine', user);
  const opened: Orchestra[] = [];
  const clear = async () => {
    for (let it = opened.pop(); it !== undefined; it = opened.pop())
      await it[Symbol.asyncDispose]();
  };
  return {
    shared,
    registry,
    open: async ({ policies, stateDir, after: before, runc } = {}) => {
      const it = await Orchestra.open({
        gate: throughGate,
        env,
        ...(policies === undefined ? {} : { policiesDir: policies }),
        ...(stateDir === undefined ? {} : { stateDir }),
        ...(before === undefined ? {} : { engine: before.fake, programs: before.programs }),
        ...(runc === undefined ? {} : await accepting(runc)),
      });
      opened.push(it);
      return it;
    },
    clear,
    async [Symbol.asyncDispose]() {
      await clear();
      await shared[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}
