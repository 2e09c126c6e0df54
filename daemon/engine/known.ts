import { OrchestraError } from '#contract/errors.ts';
import { digestOf } from '../base/canonical.ts';
import { shapeOf, type DoorMount, type SandboxSpec } from '../policy/spec.ts';
import type { Doors } from './doors.ts';
import type { Attached, Created } from './engine.ts';
import { isLeaving } from './leaving.ts';
import type { pipedOutput } from './pipes.ts';

/** A container that is not removed yet: what it was made as, and how far it has come. */
export type Known = {
  spec: SandboxSpec;
  effective: Created['effective'];
  stage: 'created' | 'starting' | 'waiting' | 'released';
  pid?: number | undefined;
  /** Resolves once it stands at its gate; absent where nobody listens. */
  atGate?: Promise<void>;
  /** Perhaps; a signal thaws it. */
  isFrozen?: boolean;
  /** The engine's stream of one that was adopted. */
  late?: Attached;
  /** The kernel was asked how it is confined. */
  isConfined?: boolean;
  areDoorsClosed?: boolean;
  /** Its last process is dead. */
  isOver?: boolean;
  /** It was over when it was found. */
  isFoundDead?: boolean;
  /** Its volumes that have their content, by where they are. */
  filled?: readonly string[];
  /** Through which its output comes, where it has pipes of its own. */
  pipes?: ReturnType<typeof pipedOutput>;
};

/** The same, with the output that comes through pipes of its own. */
export function piped(attached: Attached, pipes: ReturnType<typeof pipedOutput>): Attached {
  const close = () => {
    pipes.close();
    attached.close();
  };
  return { ...attached, output: pipes.output, close };
}

export function doorsOf(one: Known | undefined): DoorMount[] {
  return one?.spec.mounts.filter((mount) => mount.kind === 'door') ?? [];
}

/**
 * What is read of a process that ends meanwhile says nothing about how it was confined: then the
 * sandbox is gone, not another than the one that was asked for.
 */
export async function whileThere<T>(pid: number | undefined, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    if (pid === undefined || !isLeaving(pid)) return result;
  } catch (error) {
    if (pid === undefined || !isLeaving(pid)) throw error;
  }
  throw ended();
}

export function ended(): OrchestraError {
  return new OrchestraError('engine.failed', 'The sandbox ended while it was looked at');
}

/** What a look at the doors found wrong, in words for the log; other failures are failures. */
export async function differencesOf(look: () => Promise<void>): Promise<string[]> {
  const codes: readonly string[] = ['engine.not_connected', 'sandbox.mismatch'];
  try {
    await look();
    return [];
  } catch (error) {
    if (!(error instanceof OrchestraError) || !codes.includes(error.code)) throw error;
    return [error.message, ...error.places.map(({ message }) => message)];
  }
}

/** The volumes of a sandbox that are still empty. */
export function emptyVolumesOf({ spec, filled = [] }: Known): string[] {
  return spec.mounts.flatMap(({ kind, target }) =>
    kind === 'volume' && !filled.includes(target) ? [target] : [],
  );
}

/** What is mounted on its doors will arrive in it. */
export async function assertDoors(doors: Doors | undefined, one: Known): Promise<void> {
  const made = doorsOf(one);
  if (made.length === 0) return;
  if (doors === undefined) {
    throw new OrchestraError('engine.not_connected', 'Layers cannot reach a running sandbox');
  }
  await whileThere(one.pid, () => doors.assertConnected(one.pid, made));
}

/** A task gets the sandbox that its own permit allows, whatever that sandbox was made for. */
export function assertFits(waiting: SandboxSpec, task: SandboxSpec): void {
  const isSame =
    waiting === task ||
    (waiting.role === 'task'
      ? digestOf(waiting) === digestOf(task)
      : digestOf(shapeOf(waiting)) === digestOf(shapeOf(task)));
  if (task.role === 'task' && isSame) return;
  throw new OrchestraError('sandbox.mismatch', 'The sandbox is not the one that policy allowed', {
    hint: 'orchestra doctor',
  });
}

export async function openDoorsOf(
  doors: Doors | undefined,
  { pid, spec }: Known,
  task: SandboxSpec,
): Promise<void> {
  if (doors === undefined) {
    throw new OrchestraError('engine.not_connected', 'Layers cannot reach a running sandbox');
  }
  await whileThere(pid, () => doors.open(pid, spec, task));
}
