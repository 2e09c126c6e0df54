import { readFile, readlink } from 'node:fs/promises';
import type { SandboxSpec } from '../policy/spec.ts';
import type { EngineFacts } from './engine.ts';
import { runtimeFacts } from './runtime-facts.ts';
import { notMapped, onThisMachine } from './users.ts';

const namespaces = ['net', 'pid', 'mnt', 'ipc', 'uts'] as const;

/**
 * Where the first process of a started sandbox is not confined as its spec says, one line each: the
 * kernel's own word (proc_pid_status(5), namespaces(7)), after that of the engine. A kernel in user
 * space confines what runs in it by other means; there is nothing to read of it here.
 */
export async function notConfined(
  pid: number,
  spec: SandboxSpec,
  facts: Pick<EngineFacts, 'usersFrom'>,
): Promise<string[]> {
  if (runtimeFacts(spec.runtime).kernel === 'its own') return [];
  const { usersFrom } = facts;
  const [status, ...shared] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'latin1'),
    usersFrom === undefined ? [] : notMapped(pid, usersFrom),
    ...namespaces.map(async (kind) =>
      (await readlink(`/proc/${pid}/ns/${kind}`)) === (await readlink(`/proc/self/ns/${kind}`))
        ? [`namespace ${kind}: the host's own`]
        : [],
    ),
  ]);
  const fields = new Map(
    status.split('\n').map((line) => line.split(':\t') as [string, string | undefined]),
  );
  const { uid, gid } = onThisMachine(spec.user, facts);
  const wanted: Readonly<Record<string, RegExp>> = {
    Uid: new RegExp(`^(?:${uid}\\s*){4}$`),
    Gid: new RegExp(`^(?:${gid}\\s*){4}$`),
    CapPrm: /^0+$/,
    CapEff: /^0+$/,
    CapBnd: /^0+$/,
    CapInh: /^0+$/,
    NoNewPrivs: /^1$/,
    ...(spec.seccomp.profile === 'custom' ? { Seccomp: /^2$/ } : {}),
  };
  return [
    ...Object.entries(wanted).flatMap(([name, pattern]) => {
      const got = fields.get(name)?.trim() ?? 'nothing';
      return pattern.test(got) ? [] : [`${name}: the kernel says ${got}`];
    }),
    ...shared.flat(),
  ];
}
