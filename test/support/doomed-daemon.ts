import { appendFileSync, chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { labelNames } from '#daemon/engine/labels.ts';
import { workspaceTarget, type OverlayMount, type SandboxSpec } from '#daemon/policy/spec.ts';
import type { Stamp } from '#daemon/sandbox/adopt.ts';
import { ReadySlots, type AskSlot } from '#daemon/sandbox/ready-slots.ts';
import { runInSandbox } from '#daemon/sandbox/sandbox.ts';
import { openRealEngine, type Place } from './real-engine.ts';
import { testSpec } from './sandbox-spec.ts';

/**
 * A daemon for one task in a slot, killed without warning at a moment of the test's choice. Run as a
 * program; what it leaves for the next daemon is in the directory of its place.
 */
export type Doom = {
  place: Place;
  script: string;
  /** As it is about to let the task go, once it did, or once so much output was kept. */
  at: 'intent' | 'released' | number;
};

/** What the log would have of the task. */
export type Released = { spec: SandboxSpec; id: string; released: Stamp };

export const left = (dir: string) => ({
  released: path.join(dir, 'released.json'),
  output: path.join(dir, 'output'),
});

async function main({ place, script, at }: Doom): Promise<void> {
  const die = () => process.kill(process.pid, 'SIGKILL');
  const { dir, install } = place;
  const real = await openRealEngine(undefined, undefined, true, place);
  const { engine, log, clock, office } = real;
  const slots = new ReadySlots({
    engine,
    doors: real.doors,
    readyMax: 2,
    keep: 1,
    idleMs: 60_000,
    makingMax: 2,
  });
  const ask: AskSlot = ({ slot, doors }) =>
    Promise.resolve(
      office.mint({
        ...real.spec(),
        role: 'slot',
        name: `orchestra-${install}-${slot}`,
        command: [],
        env: {},
        cwd: '/',
        mounts: [...doors, ...testSpec().mounts],
        labels: { [labelNames.install]: install, [labelNames.slot]: slot },
      }),
    );
  const permit = real.permit({
    command: ['sh', '-c', script],
    cwd: workspaceTarget,
    mounts: [layerIn(real.layers), ...testSpec().mounts],
  });
  const files = left(dir);
  log.onAppend = ({ type, stage, obj }) => {
    if (type !== 'container.release') return;
    const released = { ts: new Date().toISOString(), mono: clock.mono(), boot: clock.boot };
    const facts: Released = { spec: permit.spec, id: obj?.['container'] ?? '', released };
    writeFileSync(files.released, JSON.stringify(facts));
    if (at === (stage === 'intent' ? 'intent' : 'released')) die();
  };
  let kept = 0;
  const output = {
    write(_stream: number, bytes: Uint8Array) {
      appendFileSync(files.output, bytes);
      kept += bytes.length;
      if (typeof at === 'number' && kept >= at) die();
    },
  };
  await runInSandbox(
    { engine, slots, log, clock },
    {
      permit,
      askSlot: ask,
      context: { run: 'r-0000000000', task: 'build', attempt: 1 },
      output,
      signal: new AbortController().signal,
    },
  );
}

function layerIn(layers: string): OverlayMount {
  const [low, upper, work] = ['low', 'up', 'work'].map((part) => {
    const dir = path.join(layers, part);
    mkdirSync(dir);
    chmodSync(dir, 0o777);
    return dir;
  }) as [string, string, string];
  writeFileSync(path.join(low, 'given'), 'from below');
  return { kind: 'overlay', lower: [low], upper, work, target: workspaceTarget };
}

const doom = process.argv[1] === import.meta.filename ? process.argv[2] : undefined;
if (doom !== undefined) await main(JSON.parse(doom) as Doom);
