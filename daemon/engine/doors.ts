import { chmodSync, constants, mkdirSync, openSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { gateTarget, type DoorMount, type OverlayMount, type SandboxSpec } from '../policy/spec.ts';
import { overlayOptions } from './asked.ts';
import type { PipeEnds } from './pipes.ts';
import { mountsSeenBy, type Kernel, type MountLine } from './kernel.ts';

/**
 * The directories on this machine through which layers arrive in sandboxes that wait. A mount made
 * on one of them is seen by the container that has it, because both belong to one peer group
 * (mount_namespaces(7)); whether they do is read from the kernel, sandbox by sandbox.
 */
export type Doors = {
  /** The directory that holds all of them. */
  root: string;
  /** Makes the doors of one waiting sandbox. */
  make(targets: readonly string[]): DoorMount[];
  /**
   * Takes the doors of a sandbox that an earlier daemon made: not used for another one from here on,
   * not cleared, closed like any other. False where they are not of this installation, or taken.
   */
  adopt(doors: readonly DoorMount[], task: SandboxSpec): boolean;
  /** Opens both ends of the pipes behind the door on `gateTarget`. */
  openPipes(doors: readonly DoorMount[]): PipeEnds | undefined;
  /** Throws where what is mounted on the doors would not arrive in the process `pid`, or nobody knows it. */
  assertConnected(pid: number | undefined, doors: readonly DoorMount[]): Promise<void>;
  /** Mounts the overlays of a task on the doors, and reads back that they arrived as asked. */
  open(pid: number | undefined, slot: SandboxSpec, task: SandboxSpec): Promise<void>;
  /** Reads back that the overlays of a task are what the process sees behind its doors. */
  assertShown(pid: number | undefined, task: SandboxSpec): Promise<void>;
  /**
   * Takes away what earlier daemons left and nobody has adopted: once, when no container looks
   * through it any more. What was not cleared is not used again.
   */
  clear(): Promise<void>;
  /**
   * Takes away what is mounted on them, beside what follows: a layer that is shown again waits for
   * it. Once, and only when nothing can look through them any more.
   */
  close(doors: readonly DoorMount[]): void;
  /** Resolves once all that is being closed is closed. */
  settled(): Promise<void>;
  /** Removes the directories, once all doors were closed. */
  dispose(): Promise<void>;
};

/**
 * The directories of one installation. What an earlier daemon left in them stays until `clear`,
 * because its sandboxes may still run. Closed to everybody else on this machine: whoever has the
 * user number of a task could read its output from its pipes.
 */
export function openDoors(dir: string, kernel: Kernel): Doors {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
  let left = placesIn(dir);
  // Making and removing directories costs more than all the rest, so they are used again.
  const free: string[] = [];
  let made = Math.max(0, ...left.map(Number));
  const inUse = new Set<string>();
  const shown = new Map<string, readonly string[]>();
  const closing = new Map<string, Promise<void>>();

  const unmountAll = async (source: string) => {
    // What was mounted more than once goes away once for each time.
    while (await kernel.unmount(source));
  };

  return {
    root: dir,

    make(targets) {
      const place = free.pop() ?? path.join(dir, String((made += 1)));
      inUse.add(path.join(place, '0'));
      return targets.map((target, at) => {
        const source = path.join(place, String(at));
        mkdirSync(source, { recursive: true, mode: 0o755 });
        if (target === gateTarget) {
          for (const file of pipeFiles) {
            kernel.makePipe(path.join(source, file));
            // Whatever the umask is. For reading too: the task keeps its own pipe open, see `gate.ts`.
            chmodSync(path.join(source, file), 0o606);
          }
        }
        return { kind: 'door', source, target };
      });
    },

    adopt(doors, task) {
      const [first] = doors;
      const place = first === undefined ? '' : path.dirname(first.source);
      const isLeft = path.dirname(place) === dir && left.includes(path.basename(place));
      const isWhole = doors.every(({ source }, at) => source === path.join(place, String(at)));
      if (first === undefined || !isLeft || !isWhole) return false;
      left = left.filter((name) => name !== path.basename(place));
      inUse.add(first.source);
      for (const { source, target } of doors) {
        const uppers = overlaysOf(task).filter((overlay) => overlay.target === target);
        shown.set(
          source,
          uppers.map(({ upper }) => upper),
        );
      }
      return true;
    },

    openPipes(doors) {
      const door = doors.find(({ target }) => target === gateTarget);
      if (door === undefined) return undefined;
      const open = (name: (typeof pipeFiles)[number]) => {
        const file = path.join(door.source, name);
        // In this order: without somebody who reads, nobody may write.
        try {
          return {
            read: openSync(file, constants.O_RDONLY | pipeFlags),
            write: openSync(file, constants.O_WRONLY | pipeFlags),
          };
        } catch (cause) {
          throw new OrchestraError('engine.failed', 'A pipe for output could not be opened', {
            cause,
          });
        }
      };
      return { out: open('out'), err: open('err') };
    },

    async assertConnected(pid, doors) {
      if (pid === undefined) throw notConnected();
      const [own, seen] = await Promise.all([mountsSeenBy('self'), mountsSeenBy(pid)]);
      for (const { source, target } of doors) {
        const group = peerGroup(mountHolding(own, source), 'shared');
        const follows = peerGroup(topmost(seen, target), 'master');
        if (group === undefined || group !== follows) throw notConnected();
      }
    },

    async open(pid, slot, task) {
      if (pid === undefined) throw notConnected();
      const doors = slot.mounts.filter((mount) => mount.kind === 'door');
      const overlays = overlaysOf(task);
      // An upper directory that is still mounted must not become a lower one.
      await Promise.all(
        overlays.flatMap(({ lower }) => lower.flatMap((layer) => closing.get(layer) ?? [])),
      );
      for (const overlay of overlays) {
        const door = doors.find(({ target }) => target === overlay.target);
        if (door === undefined) throw new OrchestraError('internal.bug', 'a layer has no door');
        shown.set(door.source, [...(shown.get(door.source) ?? []), overlay.upper]);
        kernel.mountOverlay(door.source, kernelOptions(overlay));
      }
      await assertAllArrived(pid, overlays);
    },

    async assertShown(pid, task) {
      if (pid === undefined) throw notConnected();
      await assertAllArrived(pid, overlaysOf(task));
    },

    async clear() {
      const places = left.map((name) => path.join(dir, name));
      left = [];
      const mounts = (await mountsSeenBy('self')).filter(({ target }) =>
        places.some((place) => target.startsWith(`${place}/`)),
      );
      for (const { target } of mounts.toReversed()) await kernel.unmount(target);
      for (const place of places) {
        try {
          removeEmpty(place);
        } catch {
          // Not used again; the next start tries once more.
        }
      }
    },

    settled: async () => void (await Promise.all(closing.values())),

    async dispose() {
      await Promise.all(closing.values());
      try {
        for (const place of readdirSync(dir)) removeEmpty(path.join(dir, place));
        rmdirSync(dir);
      } catch {
        // Something outlived its removal; the next start clears it.
      }
    },

    close(doors) {
      const [first] = doors;
      if (first === undefined || !inUse.delete(first.source)) return;
      const uppers = doors.flatMap(({ source }) => shown.get(source) ?? []);
      for (const { source } of doors) shown.delete(source);
      const closed = Promise.all(doors.map(async ({ source }) => unmountAll(source))).then(
        () => void free.push(path.dirname(first.source)),
        // Then these are not used again, and the next start clears them.
        () => {},
      );
      const key = [first.source, ...uppers];
      for (const each of key) closing.set(each, closed);
      void closed.finally(() => {
        for (const each of key) if (closing.get(each) === closed) closing.delete(each);
      });
    },
  };
}

const pipeFiles = ['out', 'err'] as const;
const pipeFlags = constants.O_NONBLOCK | constants.O_NOFOLLOW;

// These two are flags of the mount, not options of the file system.
function kernelOptions(overlay: OverlayMount): string {
  return overlayOptions(overlay).replace(/,nosuid,nodev$/, '');
}

async function assertAllArrived(pid: number, overlays: readonly OverlayMount[]): Promise<void> {
  const seen = await mountsSeenBy(pid);
  for (const overlay of overlays) assertArrived(topmost(seen, overlay.target), overlay);
}

function assertArrived(found: MountLine | undefined, overlay: OverlayMount): void {
  const has = (name: string, value: string) =>
    found?.options.split(',').includes(`${name}=${value}`);
  const isRight =
    found?.type === 'overlay' &&
    ['rw', 'nosuid', 'nodev'].every((flag) => found.flags.includes(flag)) &&
    has('lowerdir', overlay.lower.join(':')) &&
    has('upperdir', overlay.upper) &&
    has('workdir', overlay.work);
  if (isRight) return;
  throw new OrchestraError('sandbox.mismatch', 'A layer did not arrive in the sandbox as asked', {
    hint: 'orchestra doctor',
    places: [{ message: `mount on ${overlay.target}` }],
  });
}

function notConnected(): OrchestraError {
  return new OrchestraError(
    'engine.not_connected',
    'Mounts of this daemon do not reach its sandboxes',
    {
      hint: 'orchestra doctor',
    },
  );
}

/** The mount in which `file` lies: the one with the longest target above it, the latest of equals. */
function mountHolding(mounts: readonly MountLine[], file: string): MountLine | undefined {
  return mounts
    .filter(({ target }) => target === '/' || file === target || file.startsWith(`${target}/`))
    .reduce<MountLine | undefined>(
      (best, one) => (best === undefined || one.target.length >= best.target.length ? one : best),
      undefined,
    );
}

function topmost(mounts: readonly MountLine[], target: string): MountLine | undefined {
  return mounts.findLast((mount) => mount.target === target);
}

function peerGroup(mount: MountLine | undefined, kind: 'shared' | 'master'): string | undefined {
  return mount?.groups.find((word) => word.startsWith(`${kind}:`))?.slice(kind.length + 1);
}

/** A directory of doors; throws where anything is mounted in it, or it holds anything else. */
function removeEmpty(place: string): void {
  for (const door of readdirSync(place)) {
    const source = path.join(place, door);
    for (const file of pipeFiles) rmSync(path.join(source, file), { force: true });
    rmdirSync(source);
  }
  rmdirSync(place);
}

/** Named by numbers; nothing else is ours. */
function placesIn(dir: string): string[] {
  return readdirSync(dir).filter((name) => /^[1-9]\d{0,14}$/.test(name));
}

function overlaysOf(task: SandboxSpec): OverlayMount[] {
  return task.mounts.filter((mount) => mount.kind === 'overlay');
}
