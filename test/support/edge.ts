import { pino } from 'pino';
import type { Role } from '#contract/access.ts';
import { actorOf, callerFor, type Identity } from '#daemon/access/caller.ts';
import { Callers, type CallersOptions } from '#daemon/access/callers.ts';
import { openAccess } from '#daemon/access/open.ts';
import { Refusals } from '#daemon/access/refusals.ts';
import type { Log } from '#daemon/audit/types.ts';
import type { EdgeDeps } from '#daemon/http/app.ts';
import { socketReaders } from '#daemon/http/readers.ts';
import type { Runs } from '#daemon/runs/runs.ts';

/**
 * What an edge needs, with the kernel's word on who calls; without `runs` every name under
 * `/v1/runs` is that of a run, and the caller's own.
 */
export async function edgeDeps({
  log,
  runs,
  vault,
  proof,
  socket = '/nowhere/o.sock',
}: {
  log: Log;
  runs?: Runs;
  vault?: CallersOptions['vault'];
  proof?: 'peer' | 'owner' | 'socket';
  socket?: string;
}): Promise<EdgeDeps> {
  const ownUid = process.getuid?.() ?? 0;
  const now = () => performance.now();
  const access = await openAccess({ settings: undefined, ownUid, now });
  const readers = await socketReaders({ ...access, socket, now, proof });
  return {
    log,
    logger: pino({ level: 'silent' }),
    refusals: new Refusals({ log }),
    callers: new Callers({ readers, roles: access.roles, vault }),
    findRun: (id, caller) => runs?.find(id, caller) ?? { id, owner: `uid:${ownUid}` },
    isRun: () => false,
  };
}

/** Somebody with exactly these roles, for whoever calls below the edge. */
export function callerWith(roles: readonly Role[], identity: Partial<Identity> = {}) {
  const whole: Identity = { auth: 'peer', uid: 1000, gid: 1000, ...identity };
  const has = new Set(roles);
  return callerFor(whole, actorOf(whole, has), has);
}
