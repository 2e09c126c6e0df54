import { hash } from 'node:crypto';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { newRequestId } from '../../../base/ids.ts';
import type { SandboxSpec } from '../../../policy/spec.ts';
import { asking } from '../errors.ts';
import type { Libpod } from './api.ts';
import { Info } from './facts.ts';
import { known } from './oci.ts';
import { tightenProfile } from './profile.ts';

/** Podman takes a profile only as a file, in a directory of the daemon that no sandbox sees. */
export function openSeccompFiles(dir: string, libpod: Libpod) {
  let builtin: Promise<string> | undefined;
  return {
    /** The path of a file with the profile, the engine's own one made as tight as Docker's. */
    async write(seccomp: SandboxSpec['seccomp']): Promise<string> {
      if (seccomp.profile === 'custom') return writeProfile(dir, seccomp.json);
      builtin ??= writeBuiltin(dir, libpod);
      try {
        return await builtin;
      } catch (error) {
        builtin = undefined;
        throw error;
      }
    },
  };
}

async function writeBuiltin(dir: string, libpod: Libpod): Promise<string> {
  const profile = await asking('describe itself', async () => {
    const { host } = known(Info, await libpod({ method: 'GET', path: '/info' }));
    return readFile(host.security.seccompProfilePath, 'utf8').catch(() => '');
  });
  const tight = tightenProfile(profile);
  if (tight === undefined) {
    throw new OrchestraError('engine.failed', 'The seccomp profile of Podman cannot be read', {
      hint: 'install the package with the default profile (containers-common)',
    });
  }
  return writeProfile(dir, tight);
}

/** Named by its content, and whole before it has that name: another create may be reading it. */
async function writeProfile(dir: string, json: string): Promise<string> {
  const file = path.join(dir, `seccomp-${hash('sha256', json, 'hex')}.json`);
  const part = `${file}.${newRequestId()}`;
  await writeFile(part, json, { mode: 0o600 });
  await chmod(part, 0o600);
  await rename(part, file);
  return file;
}
