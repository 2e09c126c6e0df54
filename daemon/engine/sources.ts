import { lstat, realpath } from 'node:fs/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { SandboxSpec } from '../policy/spec.ts';

/**
 * The floor judges names; this looks at what is there. A source that is a link, or lies behind one,
 * or is a socket or device, is refused: the engine would follow it with root's rights.
 */
export async function assertRealSources(spec: SandboxSpec): Promise<void> {
  const wanted = spec.mounts.flatMap((mount) => {
    if (mount.kind === 'tmpfs') return [];
    if (mount.kind === 'door') return [{ path: mount.source, directory: true }];
    if (mount.kind === 'bind') return [{ path: mount.source, directory: false }];
    return [...mount.lower, mount.upper, mount.work].map((path) => ({ path, directory: true }));
  });
  await Promise.all(wanted.map(assertReal));
}

async function assertReal({
  path,
  directory,
}: {
  path: string;
  directory: boolean;
}): Promise<void> {
  const found = await look(path);
  const isKind = found.stat.isDirectory() || (!directory && found.stat.isFile());
  if (!isKind || found.real !== path) {
    throw new OrchestraError('policy.denied', 'A mount source is not a real directory or file', {
      places: [{ message: 'the path is a link, lies behind one, or is a special file' }],
    });
  }
}

async function look(path: string) {
  try {
    const [stat, real] = await Promise.all([lstat(path), realpath(path)]);
    return { stat, real };
  } catch (cause) {
    throw new OrchestraError('engine.failed', 'A mount source of the sandbox is not there', {
      cause,
    });
  }
}
