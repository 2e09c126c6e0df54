import { OrchestraError } from '#contract/errors.ts';
import type { Limits } from '#contract/limits.ts';
import type { RecordData } from '#contract/records.ts';
import type { Log } from '../audit/types.ts';
import { digestOf } from '../base/canonical.ts';
import { within } from '../base/deadline.ts';
import { assertGenuine, type Permit, type PermitOffice } from '../policy/permit.ts';
import { act } from './act.ts';
import { askedFor } from './asked.ts';
import { compare } from './compare.ts';
import type { ActContext, Created, Engine, HostFacts, SignalName } from './engine.ts';
import { floorBreaches, type FloorFacts } from './floor.ts';
import { assertRealSources } from './sources.ts';

export type GuardParts = {
  driver: Engine;
  log: Pick<Log, 'append' | 'blocked'>;
  office: PermitOffice;
  floor: FloorFacts;
  host: HostFacts;
  /** False for an engine on another machine, whose files cannot be looked at from here. */
  sameMachine?: boolean;
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

  // Containers that were compared and not started yet: nothing else is ever started, and nothing
  // twice. Shrinks with every start and removal.
  const startable = new Set<string>();

  const remove = async (id: string, context: ActContext): Promise<void> => {
    const data = place(context);
    startable.delete(id);
    await act(
      log,
      { type: 'container.remove', data, context, obj: named(id, context) },
      async () => {
        await timely('remove a sandbox', driver.remove(id, context));
      },
    );
  };

  return {
    facts: async () => timely('describe itself', driver.facts()),
    findImage: async (reference) => timely('look for an image', driver.findImage(reference)),
    list: async (labels) => timely('list its containers', driver.list(labels)),
    usage: async (id) => timely('report usage', driver.usage(id)),
    attach: async (id) => timely('attach to a sandbox', driver.attach(id)),
    wait: async (id, signal) => driver.wait(id, signal),
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
        startable.add(created.id);
        return created;
      }
      const obj = named(created.id, context);
      await log.append({
        type: 'container.settings.mismatch',
        data: { ...place(context), differences: differences.slice(0, 64) },
        outcome: 'denied',
        sev: 'alert',
        run: context.run,
        obj,
      });
      await remove(created.id, { ...context, why: 'mismatch' });
      throw new OrchestraError(
        'sandbox.mismatch',
        'The engine made another sandbox than the one that policy allowed; it was removed',
        {
          hint: 'orchestra doctor',
          // What they differ in, not how: the values can be paths of the host. The log has them.
          places: differences.slice(0, 16).map((line) => ({ message: line.split(':')[0] ?? line })),
        },
      );
    },

    async start(id, context) {
      if (!startable.delete(id)) {
        throw new OrchestraError(
          'engine.failed',
          'A sandbox is started only once, and only by the daemon that checked it',
        );
      }
      const data = place(context);
      await act(
        log,
        { type: 'container.start', data, context, obj: named(id, context) },
        async () => {
          await timely('start a sandbox', driver.start(id, context));
        },
      );
    },

    async signal(id, name, context) {
      const send = async () => {
        await timely('signal a sandbox', driver.signal(id, name, context));
      };
      // With a log that takes no more records, ending a task is the safe side; what became of the
      // container is recorded by the recovery at the next start, so it is not removed here.
      if (log.blocked !== undefined && name === 'SIGKILL') {
        await send();
        return;
      }
      const data = { ...place(context), signal: name satisfies SignalName, why: why(context) };
      await act(log, { type: 'container.signal', data, context, obj: named(id, context) }, send);
    },
  };
}

async function assertFloor(
  { log, floor, sameMachine }: GuardParts,
  { spec }: Permit,
  context: ActContext,
): Promise<void> {
  const reasons = floorBreaches(spec, floor);
  if (reasons.length === 0) {
    if (sameMachine !== false) await assertRealSources(spec);
    return;
  }
  await log.append({
    type: 'policy.decided',
    data: {
      ...place(context),
      decision: 'deny',
      spec: digestOf(spec),
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
  const { spec } = permit;
  const data: RecordData<'container.create'> = {
    ...place(context),
    name: spec.name,
    spec: digestOf(spec),
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

function place(context: ActContext): { attempt?: number } {
  return context.attempt === undefined ? {} : { attempt: context.attempt };
}

function why(context: ActContext): string {
  return (context.why ?? 'unknown').slice(0, 64);
}

function named(container: string, context: ActContext): Record<string, string> {
  return { container, ...(context.task === undefined ? {} : { task: context.task }) };
}

/** Limits in the words of the log. */
export function recordedLimits(
  limits: Limits,
): NonNullable<RecordData<'container.create'>['limits']> {
  return {
    cpu_milli: limits.cpuMilli,
    memory_bytes: limits.memoryBytes,
    pids: limits.pids,
    open_files: limits.openFiles,
    file_size_bytes: limits.fileSizeBytes,
    disk_bytes: limits.diskBytes,
    disk_files: limits.diskFiles,
    tmp_bytes: limits.tmpBytes,
    output_bytes: limits.outputBytes,
    timeout_ms: limits.timeoutMs,
    idle_ms: limits.idleMs,
  };
}
