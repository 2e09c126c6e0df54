import { lstatSync, realpathSync } from 'node:fs';
import { OrchestraError } from '#contract/errors.ts';
import type { SandboxSpec } from '../policy/spec.ts';

/**
 * The floor judges names; this looks at what is there. A source that is a link, or lies behind one,
 * or is a socket or device, is refused: the engine would follow it with root's rights.
 */
export function assertRealSources(spec: SandboxSpec): void {
  const wanted = spec.mounts.flatMap((mount) => {
    if (mount.kind === 'tmpfs') return [];
    if (mount.kind === 'door') return [{ path: mount.source, directory: true }];
    if (mount.kind === 'bind') return [{ path: mount.source, directory: false }];
    return [...mount.lower, mount.upper, mount.work].map((path) => ({ path, directory: true }));
  });
  for (const source of wanted) assertReal(source);
}

function assertReal({ path, directory }: { path: string; directory: boolean }): void {
  const found = look(path);
  const isKind = found.stat.isDirectory() || (!directory && found.stat.isFile());
  if (!isKind || found.real !== path) {
    throw new OrchestraError('policy.denied', 'A mount source is not a real directory or file', {
      places: [{ message: 'the path is a link, lies behind one, or is a special file' }],
    });
  }
}

function look(path: string) {
  try {
    // A question to the kernel's own memory, some microseconds each.
    return { stat: lstatSync(path), real: realpathSync.native(path) };
  } catch (cause) {
    throw new OrchestraError('engine.failed', 'A mount source of the sandbox is not there', {
      cause,
    });
  }
}
