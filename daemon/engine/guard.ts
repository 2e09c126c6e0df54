import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { RecordData } from '#contract/records.ts';
import type { Log } from '../audit/types.ts';
import { within } from '../base/deadline.ts';
import { assertGenuine, type Permit, type PermitOffice } from '../policy/permit.ts';
import type { SandboxSpec } from '../policy/spec.ts';
import { act } from './act.ts';
import { madeAs } from './adopt.ts';
import { askedFor } from './asked.ts';
import { compare } from './compare.ts';
import { notConfined } from './confined.ts';
import type { Doors } from './doors.ts';
import type {
  ActContext,
  Adopted,
  Created,
  Engine,
  EngineFacts,
  HostFacts,
  SignalName,
} from './engine.ts';
import { assertSeen, openExits } from './exits.ts';
import { floorBreaches, type FloorFacts } from './floor.ts';
import type { Kernel } from './kernel.ts';
import { isLeaving } from './leaving.ts';
import {
  assertDoors,
  assertFits,
  differencesOf,
  doorsOf,
  emptyVolumesOf,
  ended,
  openDoorsOf,
  piped,
  whileThere,
  type Known,
} from './known.ts';
import { pipedOutput } from './pipes.ts';
import { named, place, recordedLimits, releaseData, why } from './recorded.ts';
import { runtimeFacts } from './runtime-facts.ts';
import { assertRealSources } from './sources.ts';
import { failpoint } from '../base/failpoints.ts';

export type GuardParts = {
  driver: Engine;
  log: Pick<Log, 'append' | 'appendAll' | 'blocked'>;
  office: PermitOffice;
  floor: FloorFacts;
  host: HostFacts;
  /** False for an engine on another machine, whose files cannot be looked at from here. */
  sameMachine?: boolean;
  /** Asked about exits before the engine where it is there. */
  kernel?: Kernel | undefined;
  /** Absent where layers cannot reach a sandbox that already runs: then none may wait for a task. */
  doors?: Doors | undefined;
  /** How long an engine may take for one verb before it counts as lost. */
  deadlineMs?: number;
};

/**
 * The engine that everybody else gets. No intent record, no effect; no permit, no container; a
 * container that is not what policy allowed is removed before anybody could start it.
 */
export function guardEngine(parts: GuardParts): Engine {
  const { driver, log } = parts;
  const timely = async <T>(what: string, work: Promise<T>): Promise<T> =>
    within(
      work,
      parts.deadlineMs ?? 60_000,
      () =>
        new OrchestraError('engine.unavailable', `The engine did not ${what} in time`, {
          hint: 'orchestra doctor',
        }),
    );

  // What each container that is not removed yet was made as, and how far it has come: nothing but
  // what was compared is ever started, nothing is started or released twice.
  const known = new Map<string, Known>();
  const exits = openExits({ driver, log, kernel: parts.kernel });

  // As they were when the daemon began, because that is whom its layers were given to.
  let first: Promise<EngineFacts> | undefined;
  const facts = async (): Promise<EngineFacts> => {
    const asked = timely('describe itself', driver.facts());
    if (first === undefined) {
      first = asked;
      asked.catch(() => (first = undefined));
    }
    return asked;
  };
  const users = async () => first ?? facts();

  // Once for each sandbox: the directories are used again, by another one.
  const closeDoors = (one: Known | undefined): void => {
    if (one === undefined || one.areDoorsClosed === true) return;
    one.areDoorsClosed = true;
    parts.doors?.close(doorsOf(one));
  };

  const remove = async (idOrName: string, context: ActContext): Promise<void> => {
    const byName = [...known].find(([, { spec }]) => spec.name === idOrName)?.[0];
    const id = byName ?? idOrName;
    const data = place(context);
    await exits.settled(id);
    const one = known.get(id);
    // From here on it is nobody's; what it looked through stays open until it is surely gone.
    if (one) one.stage = 'released';
    await act(
      log,
      { type: 'container.remove', data, context, obj: named(id, context) },
      async () => {
        if (one?.isFrozen === true) await driver.thaw(id, context).catch(() => {});
        await timely('remove a sandbox', driver.remove(id, context));
      },
    );
    known.delete(id);
    exits.forget(id);
    closeDoors(one);
  };

  const refuse = async (
    id: string,
    context: ActContext,
    differences: readonly string[],
  ): Promise<never> => {
    await log.append({
      type: 'container.settings.mismatch',
      data: { ...place(context), differences: differences.slice(0, 64) },
      outcome: 'denied',
      sev: 'alert',
      run: context.run,
      obj: named(id, context),
    });
    await remove(id, { ...context, why: 'mismatch' });
    throw new OrchestraError(
      'sandbox.mismatch',
      'The engine made another sandbox than the one that policy allowed; it was removed',
      {
        hint: 'orchestra doctor',
        // What they differ in, not how: the values can be paths of the host. The log has them.
        places: differences.slice(0, 16).map((line) => ({ message: line.split(':')[0] ?? line })),
      },
    );
  };

  const assertConfined = async (id: string, one: Known, context: ActContext): Promise<void> => {
    if (one.pid === undefined || one.isConfined === true) return;
    const { pid, spec } = one;
    const userMap = await users();
    const differences = await whileThere(pid, () => notConfined(pid, spec, userMap));
    if (differences.length > 0) await refuse(id, context, differences);
    one.isConfined = true;
  };

  const thaw = async (id: string, context: ActContext): Promise<void> => {
    const data = { ...place(context), why: why(context) };
    await act(log, { type: 'container.thaw', data, context, obj: named(id, context) }, async () => {
      await timely('thaw a sandbox', driver.thaw(id, context));
    });
    const one = known.get(id);
    if (one) one.isFrozen = false;
  };

  /** What runs is looked at as after its start and its release. Rejects where it ended meanwhile. */
  const checkRunning = async (
    one: Known,
    { id, pid }: Adopted,
    task: SandboxSpec,
    context: ActContext,
  ): Promise<void> => {
    const { doors } = parts;
    const isTask = runtimeFacts(one.spec.runtime).kernel !== 'its own';
    one.pid = pid !== undefined && isTask && (await exits.watch(id, pid)) ? pid : undefined;
    if (one.spec.role === 'slot' && one.pid === undefined) throw ended();
    await assertConfined(id, one, context);
    if (one.spec.role !== 'slot') return;
    const differences = await differencesOf(async () => {
      await assertDoors(parts.doors, one);
      await whileThere(one.pid, async () => doors?.assertShown(one.pid, task));
    });
    if (differences.length > 0) await refuse(id, context, differences);
  };

  const adopt = async (
    id: string,
    permit: Permit,
    context: ActContext,
  ): Promise<Adopted | 'ending' | undefined> => {
    const found = await timely('inspect a sandbox', driver.adopt(id, permit, context));
    if (found === undefined) return undefined;
    const spec = madeAs(permit.spec, found.effective);
    const differences = compare(askedFor(spec, parts.host), found.effective);
    const one: Known = {
      spec,
      effective: found.effective,
      stage: 'released',
      isFrozen: found.found === 'paused',
      isFoundDead: found.found === 'exited',
    };
    known.set(id, one);
    try {
      if (differences.length > 0) await refuse(id, context, differences);
      if (found.found !== 'exited') await checkRunning(one, found, permit.spec, context);
      const isSlot = spec.role === 'slot';
      const isTaken = !isSlot || parts.doors?.adopt(doorsOf(one), permit.spec) === true;
      if (found.found !== 'exited' && !isTaken) {
        await refuse(id, context, ['doors: not of this installation, or of another sandbox']);
      }
      const data = {
        ...place(context),
        found: found.found,
        slot: isSlot,
        spec: permit.digest,
      };
      const obj = named(id, context);
      await log.append({ type: 'container.adopted', data, run: context.run, obj });
    } catch (error) {
      found.attached.close();
      known.delete(id);
      exits.forget(id);
      const isMismatch = error instanceof OrchestraError && error.code === 'sandbox.mismatch';
      if (found.pid !== undefined && isLeaving(found.pid) && !isMismatch) return 'ending';
      throw error;
    }
    if (found.found === 'exited') {
      closeDoors(one);
      return found;
    }
    const ends = spec.role === 'slot' ? parts.doors?.openPipes(doorsOf(one)) : undefined;
    if (ends === undefined) {
      one.late = found.attached;
      return { ...found, pid: one.pid, attached: exits.hear(id, found.attached) };
    }
    const { ready, output: engine } = found.attached;
    one.pipes = pipedOutput({ ends, ready, engine, isAdopted: true });
    const attached = exits.hear(id, piped(found.attached, one.pipes));
    return { ...found, pid: one.pid, attached, isOutputCut: false };
  };

  return {
    facts,
    findImage: async (reference) => timely('look for an image', driver.findImage(reference)),
    list: async (labels) => timely('list its containers', driver.list(labels)),
    usage: async (id) => timely('report usage', driver.usage(id)),
    attach: async (id) => {
      const attached = await timely('attach to a sandbox', driver.attach(id));
      const one = known.get(id);
      if (one === undefined) return exits.hear(id, attached);
      one.atGate = attached.ready;
      const ends = one.spec.role === 'slot' ? parts.doors?.openPipes(doorsOf(one)) : undefined;
      if (ends === undefined) return exits.hear(id, attached);
      one.pipes = pipedOutput({ ends, ready: attached.ready, engine: attached.output });
      return exits.hear(id, piped(attached, one.pipes));
    },

    close: () => driver.close(),
    remove,

    async create(permit, context) {
      assertGenuine(parts.office, permit);
      await assertFloor(parts, permit, context);
      const removeLost = async () => {
        await remove(permit.spec.name, { ...context, why: 'create failed' }).catch(() => {});
      };
      let making: Promise<Created> | undefined;
      const make = async () => {
        making = driver.create(permit, context);
        return timely('create a sandbox', making);
      };
      const created = await createRecorded(parts, permit, context, make).catch(
        async (error: unknown) => {
          // The engine may have made it and lost the answer; a taken name is somebody else's.
          const isTaken = error instanceof OrchestraError && error.code === 'engine.conflict';
          if (!isTaken && making !== undefined && log.blocked === undefined) {
            await removeLost();
            // An answer that still comes after the deadline is of no use to anybody.
            void making.then(removeLost, () => {});
          }
          throw error;
        },
      );
      const differences = compare(askedFor(permit.spec, parts.host), created.effective);
      if (differences.length === 0) {
        known.set(created.id, {
          spec: permit.spec,
          effective: created.effective,
          stage: 'created',
        });
        return created;
      }
      return refuse(created.id, context, differences);
    },

    async fill(id, permit, { target, tar }, context) {
      assertGenuine(parts.office, permit);
      const one = known.get(id);
      if (one?.stage !== 'created' || !emptyVolumesOf(one).includes(target)) {
        throw new OrchestraError('engine.failed', 'A volume is filled once, before the start');
      }
      assertFits(one.spec, permit.spec);
      const data = { ...place(context), target };
      let bytes = 0;
      const counted = (async function* () {
        for await (const piece of tar) {
          bytes += piece.byteLength;
          yield piece;
        }
      })();
      // However long it takes, as long as something moves; the driver sees to that.
      await act(
        log,
        { type: 'container.fill', data, context, obj: named(id, context) },
        async () => driver.fill(id, permit, { target, tar: counted }, context),
        () => ({ data: { ...data, bytes } }),
      );
      one.filled = [...(one.filled ?? []), target];
    },

    async readBack(id, target) {
      const one = known.get(id);
      const isThere = one?.spec.mounts.some(
        (mount) => mount.kind === 'volume' && mount.target === target,
      );
      if (one?.isOver !== true || isThere !== true) {
        throw new OrchestraError('engine.failed', 'Only the volume of a dead task is read back');
      }
      // By the engine's own word as well: nothing may move in it while the engine looks at it.
      await exits.settled(id);
      return timely('show a volume', driver.readBack(id, target));
    },

    async start(id, context) {
      const one = known.get(id);
      if (one?.stage !== 'created') {
        throw new OrchestraError(
          'engine.failed',
          'A sandbox is started only once, and only by the daemon that checked it',
        );
      }
      if (emptyVolumesOf(one).length > 0) {
        throw new OrchestraError('engine.failed', 'A sandbox is not started on an empty volume');
      }
      one.stage = 'starting';
      const data = place(context);
      const started = await act(
        log,
        { type: 'container.start', data, context, obj: named(id, context) },
        async () => timely('start a sandbox', driver.start(id, context)),
      );
      // A number that is not of this container here means nothing here.
      const { pid } = started;
      // Of a runtime with a kernel of its own this is that kernel, whose end is not the task's.
      const isTask = runtimeFacts(one.spec.runtime).kernel !== 'its own';
      one.pid = pid !== undefined && isTask && (await exits.watch(id, pid)) ? pid : undefined;
      await assertDoors(parts.doors, one);
      if (one.atGate) {
        // Before that, a runtime may not have shut the last lock yet.
        await timely('reach its gate', one.atGate);
        await assertConfined(id, one, context);
        // Whatever is held open to measure it by is held before a task can be over in a moment.
        await driver.usage(id).catch(() => undefined);
      }
      one.stage = 'waiting';
      return { pid: one.pid };
    },

    async release(id, permit, context, { secrets = [], receipt = [] } = {}) {
      assertGenuine(parts.office, permit);
      const one = known.get(id);
      if (one?.stage !== 'waiting') {
        throw new OrchestraError('engine.failed', 'A sandbox that does not wait takes no task');
      }
      one.stage = 'released';
      await assertConfined(id, one, context);
      await assertFloor(parts, permit, context);
      assertFits(one.spec, permit.spec);
      const data = releaseData(one, permit, context);
      failpoint('before-container-release');
      await act(
        log,
        { type: 'container.release', data, context, obj: named(id, context), before: receipt },
        async () => {
          if (one.spec.role === 'slot') await openDoorsOf(parts.doors, one, permit.spec);
          await timely(
            'let a task go',
            driver.release(id, permit, context, {
              secrets,
              isPiped: one.pipes !== undefined,
            }),
          );
          failpoint('after-container-let-go');
        },
      ).catch((error: unknown) => {
        // Another sandbox may be given the same layers in a moment.
        closeDoors(one);
        throw error;
      });
      failpoint('after-container-release');
    },

    async wait(id, signal) {
      const exit = await exits.wait(id, signal);
      // The last process is dead: nobody sees the layers or writes any more.
      const one = known.get(id);
      if (one) one.isOver = true;
      if (one?.isFoundDead === true) assertSeen(exit);
      one?.pipes?.over();
      // An engine that was asked to pass on what is over already may never end that.
      if (one?.late) setTimeout(() => one.late?.close(), lateMs).unref();
      closeDoors(one);
      return exit;
    },

    async signal(id, name, context) {
      const send = async () => {
        await timely('signal a sandbox', driver.signal(id, name, context));
      };
      const isFrozen = known.get(id)?.isFrozen === true;
      // With a log that takes no more records, ending a task is the safe side; what became of the
      // container is recorded by the recovery at the next start, so it is not removed here.
      if (log.blocked !== undefined && name === 'SIGKILL') {
        if (isFrozen) await timely('thaw a sandbox', driver.thaw(id, context)).catch(() => {});
        await send();
        return;
      }
      // Not every engine can signal what stands still; where it cannot be thawed this may do all the
      // same.
      if (isFrozen) await thaw(id, context).catch(() => {});
      const data = { ...place(context), signal: name satisfies SignalName, why: why(context) };
      await act(log, { type: 'container.signal', data, context, obj: named(id, context) }, send);
    },

    thaw,

    async freeze(id, context) {
      const one = known.get(id);
      if (one?.stage !== 'released') {
        throw new OrchestraError('engine.failed', 'Only a sandbox with its task in it is frozen');
      }
      // Before it is: should the answer be lost, a signal thaws it all the same.
      one.isFrozen = true;
      const data = { ...place(context), why: why(context) };
      await act(
        log,
        { type: 'container.freeze', data, context, obj: named(id, context) },
        async () => {
          await timely('freeze a sandbox', driver.freeze(id, context));
        },
      );
    },

    async adopt(id, permit, context) {
      assertGenuine(parts.office, permit);
      if (known.has(id)) {
        throw new OrchestraError('engine.failed', 'A sandbox of this daemon is not adopted');
      }
      await assertFloor(parts, permit, context);
      for (let looks = 1; looks <= looksMax; looks += 1) {
        const adopted = await adopt(id, permit, context);
        if (adopted !== 'ending') return adopted;
        // How it ended the engine tells a moment later.
        await sleep(lookMs);
      }
      throw ended();
    },
  };
}

/** How long an engine is asked again about a sandbox that is about to be over. */
const looksMax = 60;
const lookMs = 50;
/** How long after the end of a sandbox that was adopted its engine may still pass on output. */
const lateMs = 2_000;

async function assertFloor(
  { log, floor, sameMachine }: GuardParts,
  { spec, digest }: Permit,
  context: ActContext,
): Promise<void> {
  const reasons = floorBreaches(spec, floor);
  if (reasons.length === 0) {
    if (sameMachine !== false) assertRealSources(spec);
    return;
  }
  await log.append({
    type: 'policy.decided',
    data: {
      ...place(context),
      decision: 'deny',
      spec: digest,
      reasons: reasons.slice(0, 64).map((reason) => `floor: ${reason}`),
    },
    outcome: 'denied',
    sev: 'alert',
    run: context.run,
    obj: named(spec.name, context),
  });
  throw new OrchestraError('policy.denied', 'No policy may allow this sandbox', {
    places: reasons.map((message) => ({ message })),
  });
}

async function createRecorded(
  { log }: GuardParts,
  permit: Permit,
  context: ActContext,
  make: () => Promise<Created>,
): Promise<Created> {
  const { spec, digest } = permit;
  const data: RecordData<'container.create'> = {
    ...place(context),
    name: spec.name,
    spec: digest,
    limits: recordedLimits(spec.limits),
  };
  return act(
    log,
    { type: 'container.create', data, context, obj: named(spec.name, context) },
    make,
    ({ id, effective }) => ({
      data: { ...data, settings: effective.settings },
      obj: { container: id },
    }),
  );
}
