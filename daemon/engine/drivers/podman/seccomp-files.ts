import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { newRequestId } from '../../../base/ids.ts';
import type { SandboxSpec } from '../../../policy/spec.ts';

/**
 * Podman takes a profile only as a file: its path, in a directory of the daemon that no sandbox
 * sees. Podman's own profile is never used: it lets a task make user namespaces, where it is root.
 */
export async function writeSeccompFile(
  dir: string,
  seccomp: SandboxSpec['seccomp'],
): Promise<string> {
  if (seccomp.profile === 'builtin') {
    throw new OrchestraError(
      'engine.failed',
      'Podman has no seccomp profile that is tight enough',
      {
        hint: 'use a kernel and a Podman built with seccomp',
      },
    );
  }
  const file = path.join(dir, `seccomp-${seccomp.digest.slice('sha256:'.length)}.json`);
  // Named by its content, and whole before it has that name: another create may be reading it.
  const part = `${file}.${newRequestId()}`;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFile(part, seccomp.json, { mode: 0o600 });
  await chmod(part, 0o600);
  await rename(part, file);
  return file;
}
