/**
 * What the order of starting is worth: fixed graphs through the real dispatch, first come first
 * served against the longest way first. By a clock that jumps, which gives the margin that can be
 * computed, and by real waiting, which shows that it is kept. `node bench/schedule.ts`; the result
 * goes to `bench/results/schedule.json`. Exit 1 where the margin is missed.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { Capacity } from '#daemon/scheduler/capacity.ts';
import { dispatch } from '#daemon/scheduler/dispatch.ts';
import { Durations } from '#daemon/scheduler/durations.ts';
import { Outlook } from '#daemon/scheduler/eta.ts';
import { bottomLevels, type Node } from '#daemon/scheduler/graph.ts';
import { Heap } from '#daemon/scheduler/heap.ts';

type Timed = Node & { ms: number };
type Graph = { name: string; places: number; nodes: Timed[] };
type Wait = (ms: number) => Promise<void>;

const realScale = 1 / 25;
/** So much of the computed margin may be lost to timers, the machine and the dispatch itself. */
const tolerance = 0.05;

/** The same numbers every time, so that the graphs are fixed. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** Many short tasks stand first in the plan, a chain that takes as long as all of them last. */
function chainLast(): Graph {
  const short = Array.from({ length: 60 }, (_, i) => ({ id: `short-${i}`, deps: [], ms: 1_000 }));
  const chain = Array.from({ length: 5 }, (_, i) => ({
    id: `long-${i}`,
    deps: i === 0 ? [] : [`long-${i - 1}`],
    ms: 3_000,
  }));
  return { name: 'a chain that the plan names last', places: 4, nodes: [...short, ...chain] };
}

/** Where the number of tasks in a chain misleads: one task longer than any chain of short ones. */
function oneLong(): Graph {
  const chains = Array.from({ length: 40 }, (_, i) => ({
    id: `step-${i}`,
    deps: i < 8 ? [] : [`step-${i - 8}`],
    ms: 1_000,
  }));
  const long = { id: 'long', deps: [], ms: 12_000 };
  return { name: 'one long task among chains', places: 4, nodes: [...chains, long] };
}

/** Forty packages that build on one another; each is linted, built and tested, then all is packed. */
function monorepo(): Graph {
  const random = numbers(7);
  const packages = Array.from({ length: 40 }, (_, i) => {
    const builds = i === 0 ? [] : [Math.floor(random() * i), Math.floor(random() * i)];
    const on = [...new Set(builds)].map((k) => `build-${k}`);
    const ms = (middle: number) => Math.round(middle * Math.exp(2 * (random() - 0.5)));
    return [
      { id: `lint-${i}`, deps: ['install'], ms: ms(1_500) },
      { id: `test-${i}`, deps: [`build-${i}`], ms: ms(4_000) },
      { id: `build-${i}`, deps: ['install', ...on], ms: ms(2_500) },
    ];
  });
  const nodes: Timed[] = [{ id: 'install', deps: [], ms: 5_000 }, ...packages.flat()];
  nodes.push({ id: 'pack', deps: nodes.map(({ id }) => id), ms: 2_000 });
  return { name: 'monorepo of 40 packages', places: 8, nodes };
}

function manyLayers(): Graph {
  const random = numbers(11);
  const nodes = Array.from({ length: 10_000 }, (_, i) => ({
    id: `n${i}`,
    deps:
      i < 250 ? [] : [...new Set([1, 2, 3].map(() => `n${i - 1 - Math.floor(random() * 250)}`))],
    ms: Math.round(1_000 * Math.exp(4 * (random() - 0.5))),
  }));
  return { name: '10,000 tasks in layers', places: 32, nodes };
}

/** Time that stands still while anybody does something and then jumps to the next end. */
class JumpingClock {
  nowMs = 0;
  readonly #sleepers = new Heap<{ at: number; wake: () => void }>((a, b) => a.at < b.at);

  readonly wait: Wait = (ms) =>
    new Promise((wake) => this.#sleepers.push({ at: this.nowMs + ms, wake }));

  async runOut(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await setImmediate();
      const next = this.#sleepers.pop();
      if (!next) continue;
      this.nowMs = next.at;
      next.wake();
    }
  }
}

async function play({ nodes, places }: Graph, wait: Wait, cost?: (node: Timed) => number) {
  const slots = new Capacity({ tasks: places });
  const signal = new AbortController().signal;
  await dispatch<Timed>({
    nodes,
    concurrency: places,
    slots,
    signal,
    ...(cost === undefined ? {} : { cost }),
    execute: async ({ ms }) => {
      await wait(ms);
      return true;
    },
    skip: () => Promise.resolve(),
  });
}

async function makespan(graph: Graph, cost?: (node: Timed) => number): Promise<number> {
  const clock = new JumpingClock();
  let isOver = false;
  const played = play(graph, clock.wait, cost).finally(() => (isOver = true));
  await clock.runOut(() => isOver);
  await played;
  return clock.nowMs;
}

async function realMs(graph: Graph, cost: (node: Timed) => number): Promise<number> {
  const startedAt = performance.now();
  await play(graph, (ms) => sleep(ms * realScale).then(() => {}), cost);
  return (performance.now() - startedAt) / realScale;
}

/** What some earlier runs taught, each task a fifth longer or shorter at random. */
function learned({ nodes }: Graph, runs: number): (node: Timed) => number {
  const durations = new Durations();
  const random = numbers(3);
  const task = ({ id }: Node) => ({ tool: 'npm', args: ['run', id], cwd: '.' });
  for (let run = 0; run < runs; run += 1) {
    for (const node of nodes) durations.note(task(node), node.ms * (0.8 + 0.4 * random()));
  }
  return (node) => durations.p50(task(node));
}

const inOrder = () => 0;
const known = ({ ms }: Timed) => ms;

async function figuresOf(graph: Graph) {
  const { nodes, places } = graph;
  const work = nodes.reduce((sum, { ms }) => sum + ms, 0);
  const bound = Math.max(work / places, ...bottomLevels(nodes, known).values());
  const after = [learned(graph, 1), learned(graph, 5)] as const;
  const virtual = {
    fifo: await makespan(graph, inOrder),
    hops: await makespan(graph),
    learnedOnce: await makespan(graph, after[0]),
    learned: await makespan(graph, after[1]),
    known: await makespan(graph, known),
  };
  const etaMs = new Outlook(nodes, after[1]).remainingMs(places, () => 'waiting');
  const computed = virtual.fifo / virtual.learned;
  if (work * realScale > 60_000) return { bound, virtual, etaMs, computed };
  const real = { fifo: await realMs(graph, inOrder), learned: await realMs(graph, after[1]) };
  return { bound, virtual, etaMs, computed, real, measured: real.fifo / real.learned };
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const results = [];
let isKept = true;
for (const graph of [chainLast(), oneLong(), monorepo(), manyLayers()]) {
  const figures = await figuresOf(graph);
  const { bound, virtual, etaMs, computed, measured } = figures;
  results.push({ name: graph.name, tasks: graph.nodes.length, places: graph.places, ...figures });
  if (measured !== undefined && measured < computed * (1 - tolerance)) isKept = false;
  process.stdout.write(
    `${graph.name}: ${graph.nodes.length} tasks, ${graph.places} at once, no way below ${seconds(bound)}\n` +
      `  first come first served ${seconds(virtual.fifo)}, longest chain ${seconds(virtual.hops)}, ` +
      `learned in one run ${seconds(virtual.learnedOnce)}, in five ${seconds(virtual.learned)}, ` +
      `known ${seconds(virtual.known)}\n` +
      `  expected before it began ${seconds(etaMs)}; margin ${computed.toFixed(3)} computed` +
      `${measured === undefined ? '' : `, ${measured.toFixed(3)} measured`}\n`,
  );
}
const folder = join(import.meta.dirname, 'results');
mkdirSync(folder, { recursive: true });
writeFileSync(
  join(folder, 'schedule.json'),
  `${JSON.stringify({ at: new Date().toISOString(), load: loadavg(), realScale, tolerance, results }, null, 2)}\n`,
);
process.exitCode = isKept ? 0 : 1;
