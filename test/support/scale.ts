import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import type { RunId } from '#contract/ids.ts';
import { openIndex, type LogIndex } from '#daemon/audit/index-db.ts';
import { openLog } from '#daemon/audit/log.ts';
import { guardEngine } from '#daemon/engine/guard.ts';
import { openRooms, type Rooms } from '#daemon/rooms.ts';
import { FakeEngine, fakeHost, type Script } from './fake-engine.ts';
import { NearSigner } from './signing.ts';
import { frames, imageId, plainConfig, user, type PlanFileTask } from './orchestra.ts';

export const shapes = ['chain', 'star', 'layers', 'diamonds'] as const;
export type Shape = (typeof shapes)[number];

const edgesOfLayer = 10;

/**
 * A plan of `count` tasks. `layers`: a hundred in a row, each task waiting for ten of the row
 * before; `diamonds`: one after the other, four tasks each; `star`: one that all others wait for.
 */
export function planOf(shape: Shape, count: number): PlanFileTask[] {
  const width = Math.max(1, Math.round(Math.sqrt(count)));
  const name = (n: number) => `t${n}`;
  const depsOf: Record<Shape, (n: number) => number[]> = {
    chain: (n) => (n === 0 ? [] : [n - 1]),
    star: (n) => (n === 0 ? [] : [0]),
    layers: (n) => {
      if (n < width) return [];
      const before = n - (n % width) - width;
      const edges = Math.min(edgesOfLayer, width);
      return Array.from({ length: edges }, (_, i) => before + (((n % width) + i * 7) % width));
    },
    diamonds: (n) => {
      const first = n - (n % 4);
      if (n === first) return n === 0 ? [] : [n - 1];
      return n === first + 3 ? [first + 1, first + 2] : [first];
    },
  };
  return Array.from({ length: count }, (_, n) => {
    const deps = [...new Set(depsOf[shape](n))];
    const task = { id: name(n), tool: 'sh', args: ['-c', `exit 0 # ${n}`] };
    return deps.length === 0 ? task : { ...task, deps: deps.map(name) };
  });
}

export type Scale = AsyncDisposable & {
  rooms: Rooms;
  index: LogIndex;
  fake: FakeEngine;
  /** Resolves when it is accepted by the API; `rooms.runs.open(id)?.done` is its end. */
  submit(tasks: readonly PlanFileTask[], concurrency: number): Promise<RunId>;
};

export type ScaleOptions = {
  stateDir: string;
  programs?: (task: string) => Script;
  engine?: FakeEngine;
};

const root = new URL('../..', import.meta.url).pathname;
const reference = 'node:20-alpine';
const atOnce = 64;

/**
 * The daemon below its edge, with its index, at full durability on the disk under `stateDir`:
 * everything is what the daemon has but the engine, whose containers do nothing.
 */
export async function openScale(options: ScaleOptions): Promise<Scale> {
  const { stateDir } = options;
  const programs = options.programs ?? (() => ({}));
  const fake =
    options.engine ?? new FakeEngine((spec) => programs(spec.labels['orchestra.task'] ?? ''));
  fake.images.set(reference, {
    reference,
    id: imageId,
    os: 'linux',
    arch: 'amd64',
    labels: {},
    repoDigests: [],
  });
  const policiesDir = await policiesOfSize(stateDir);
  const config = await plainConfig(stateDir);
  const rooms = await openRooms({
    config: {
      ...config,
      tasksAtOnce: atOnce,
      disk: { refuseBelow: { bytes: 1 }, stopBelow: { bytes: 1 } },
    },
    version: '0.0.0',
    policiesDir,
    logger: pino({ level: 'silent' }),
    env: { PATH: process.env['PATH'], HOME: stateDir },
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    openLog,
    openSigner: () => new NearSigner({ dir: join(stateDir, 'signer') }),
    openEngine: ({ log, office, floor }) =>
      guardEngine({ driver: fake, log, office, floor, host: fakeHost, deadlineMs: 30_000 }),
  });
  const index = await openIndex({ dir: rooms.auditDir, log: rooms.deps.log });
  const { snapshots } = rooms.deps.workspace;
  return {
    rooms,
    index,
    fake,
    submit: async (tasks, concurrency) => {
      const { digest } = await snapshots.ingest(frames({ 'package.json': '{}' }));
      const plan = { text: JSON.stringify({ version: 1, tasks }), file: 'plan.yaml' };
      const request = { intent: 'scale', snapshot: digest, workspace: 'scale', plan, concurrency };
      return rooms.runs.submit(request, user);
    },
    [Symbol.asyncDispose]: async () => {
      await rooms.endRuns('over');
      await rooms.recordEnd();
      await index.close();
      await rooms.close();
    },
  };
}

/** The policies that are shipped, the standard one as wide as a policy can be. */
async function policiesOfSize(stateDir: string): Promise<string> {
  const dir = join(stateDir, '..', 'policies');
  await mkdir(dir, { recursive: true });
  cpSync(join(root, 'policies'), dir, { recursive: true });
  const standard = join(dir, 'default.yaml');
  const text = readFileSync(standard, 'utf8')
    .replace(/^ {2}tasks: \d+$/m, '  tasks: 10000')
    .replace(/^ {2}concurrency: \d+$/m, `  concurrency: ${atOnce}`);
  writeFileSync(standard, text);
  return dir;
}
