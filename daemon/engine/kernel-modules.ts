import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import type { EngineFacts } from './engine.ts';

/**
 * The security modules that the kernel under the sandboxes runs, in its own order. Where it cannot
 * be asked - another machine's kernel, no securityfs - what the engine says of the two it knows.
 */
export async function kernelModules(
  facts: Pick<EngineFacts, 'kernel' | 'apparmor' | 'selinux'>,
  file = '/sys/kernel/security/lsm',
): Promise<string[]> {
  const said = [...(facts.apparmor ? ['apparmor'] : []), ...(facts.selinux ? ['selinux'] : [])];
  if (facts.kernel !== release()) return said;
  const text = await readFile(file, 'utf8').catch(() => '');
  const names = text
    .trim()
    .split(',')
    .filter((name) => /^[a-z0-9_-]{1,32}$/.test(name));
  return names.length === 0 ? said : names.slice(0, 32);
}
