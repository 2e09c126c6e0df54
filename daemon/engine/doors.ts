import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { DoorMount, OverlayMount, SandboxSpec } from '../policy/spec.ts';
import { overlayOptions } from './asked.ts';
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
  make(slot: string, targets: readonly string[]): DoorMount[];
  /** Throws where what is mounted on the doors would not arrive in the process `pid`, or nobody knows it. */
  assertConnected(pid: number | undefined, doors: readonly DoorMount[]): Promise<void>;
  /** Mounts the overlays of a task on the doors, and reads back that they arrived as asked. */
  open(pid: number | undefined, slot: SandboxSpec, task: SandboxSpec): Promise<void>;
  /** Takes away what is mounted on them and the doors too. May be repeated. */
  close(doors: readonly DoorMount[]): void;
  /** Once all are closed. */
  dispose(): void;
};

/** The directories of one installation; what an earlier daemon left in them is taken away first. */
export async function openDoors(dir: string, kernel: Kernel): Promise<Doors> {
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  await clear(dir, kernel);
  return {
    root: dir,

    make(slot, targets) {
      return targets.map((target, at) => {
        const source = path.join(dir, slot, String(at));
        mkdirSync(source, { recursive: true, mode: 0o755 });
        return { kind: 'door', source, target };
      });
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
      const overlays = task.mounts.filter((mount) => mount.kind === 'overlay');
      for (const overlay of overlays) {
        const door = doors.find(({ target }) => target === overlay.target);
        if (door === undefined) throw new OrchestraError('internal.bug', 'a layer has no door');
        kernel.mountOverlay(door.source, kernelOptions(overlay));
      }
      const seen = await mountsSeenBy(pid);
      for (const overlay of overlays) assertArrived(topmost(seen, overlay.target), overlay);
    },

    dispose() {
      try {
        rmdirSync(dir);
      } catch {
        // Not empty: a sandbox outlived its removal, and the next start clears it.
      }
    },

    close(doors) {
      for (const { source } of doors) {
        try {
          while (kernel.unmount(source));
          rmdirSync(source);
          rmdirSync(path.dirname(source));
        } catch {
          // Gone already, the second door of two still there, or left to the next start.
        }
      }
    },
  };
}

// These two are flags of the mount, not options of the file system.
function kernelOptions(overlay: OverlayMount): string {
  return overlayOptions(overlay).replace(/,nosuid,nodev$/, '');
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

async function clear(dir: string, kernel: Kernel): Promise<void> {
  const left = (await mountsSeenBy('self')).filter(({ target }) => target.startsWith(`${dir}/`));
  for (const { target } of left.toReversed()) kernel.unmount(target);
  for (const slot of readdirSync(dir)) {
    for (const door of readdirSync(path.join(dir, slot))) rmdirSync(path.join(dir, slot, door));
    rmdirSync(path.join(dir, slot));
  }
}
