import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '#daemon/base/clock.ts';

import { openDoors, type Doors } from '#daemon/engine/doors.ts';
import type { Engine } from '#daemon/engine/engine.ts';
import { labelNames, sandboxLabels } from '#daemon/engine/labels.ts';
import { openMachine } from '#daemon/engine/machine.ts';
import { openEngine } from '#daemon/engine/open.ts';
import { onThisMachine } from '#daemon/engine/users.ts';
import { openPermitOffice, type Permit } from '#daemon/policy/permit.ts';
import type { SandboxSpec, VolumeMount } from '#daemon/policy/spec.ts';
import { findEngine } from '#setup/engine/find.ts';
import { MemoryLog } from './memory-log.ts';
import { testSpec } from './sandbox-spec.ts';
import { shippedSeccomp } from './seccomp.ts';

export const testImage = 'orchestra/node:20-assembled';

/** What is one installation's own, and the next daemon's of it too. */
export type Place = { dir: string; install: string };

export function newPlace(): Place {
  const dir = realpathSync(mkdtempSync(path.join(tmpdir(), 'orchestra-engine-test-')));
  return { dir, install: `test-${randomUUID()}` };
}

/**
 * An engine on this machine with an installation of its own, for one test file. `runtime` is the
 * engine's default one if left out.
 */
export async function openRealEngine(
  host?: string,
  runtime?: string,
  hasDoors = false,
  { dir, install }: Place = newPlace(),
) {
  const address = host ?? (await findEngine({ env: process.env })).host;
  const layers = path.join(dir, 'layers');
  mkdirSync(layers, { recursive: true });
  const machine = await openMachine({ installId: install, stateDir: dir, env: process.env });
  const { kernel } = machine;
  const doors = hasDoors ? machine.doors : undefined;
  const open = (through: Doors | undefined) => {
    const log = new MemoryLog();
    const office = openPermitOffice();
    const engine = openEngine({
      kernel,
      doors: through,
      files: machine.files,
      host: address,
      dir: path.join(dir, 'engine'),
      log,
      office,
      floor: { roots: [layers, ...(doors ? [doors.root] : [])], secrets: [path.join(dir, 'log')] },
    });
    return { log, office, engine };
  };
  const { log, office, engine } = open(doors);
  const restarted: Engine[] = [];
  const [facts, image] = await Promise.all([engine.facts(), engine.findImage(testImage)]);
  if (image === undefined) throw new Error(`${testImage} is not on the engine: npm run setup`);

  function spec(change: Partial<SandboxSpec> = {}): SandboxSpec {
    return testSpec({
      name: `orchestra-${randomUUID()}`,
      image: { reference: testImage, id: image?.id ?? '' },
      seccomp: shippedSeccomp(),
      runtime: runtime ?? facts.defaultRuntime,
      labels: sandboxLabels({ install, run: 'r-0000000000', task: 'build', attempt: 1 }),
      ...change,
    });
  }

  return {
    address,
    office,
    doors,
    engine,
    facts,
    image,
    log,
    layers,
    /** Whom what a sandbox may write has to belong to. */
    owner: onThisMachine(testSpec().user, facts),
    install,
    clock: systemClock(),
    spec,
    permit: (change: Partial<SandboxSpec> = {}): Permit => office.mint(spec(change)),
    /** What a daemon has that starts after this one was killed. */
    restart() {
      const again = open(kernel && doors && openDoors(doors.root, kernel));
      restarted.push(again.engine);
      return { ...again, permit: (of: SandboxSpec) => again.office.mint(of) };
    },
    ...(facts.kind === 'docker' ? { volume: volumeIn(layers) } : {}),
    left: async () => engine.list({ [labelNames.install]: install }),
    async close() {
      for (const one of await engine.list({ [labelNames.install]: install })) {
        await engine.remove(one.id, { why: 'test over' });
      }
      for (const one of [engine, ...restarted]) one.close();
      await machine.doors?.dispose();
      rmSync(machine.files ?? dir, { recursive: true, force: true });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function volumeIn(layers: string): (target: string) => VolumeMount {
  return (target) => {
    const [low = '', upper = '', work = ''] = ['low', 'up', 'work'].map((part) => {
      const dir = path.join(layers, `${randomUUID()}-${part}`);
      mkdirSync(dir);
      return dir;
    });
    return { kind: 'volume', lower: [low], upper, work, target };
  };
}
