import type { AnyRecord } from '#contract/records.ts';

const changes = [
  'config.',
  'policy.loaded',
  'policy.rejected',
  'runtime.',
  'image.',
  'tool.',
  'key.',
  'secret.set',
  'secret.removed',
  'token.',
  'store.prune',
  'log.genesis',
  'log.pruned',
  'log.hold.',
  'log.loss.',
  'data.',
  'daemon.started',
  'daemon.stopped',
  'daemon.crashed',
];

/** What changes how everything after it is decided, or what is kept of it. */
export function isChange({ type }: AnyRecord): boolean {
  return changes.some((each) => (each.endsWith('.') ? type.startsWith(each) : type === each));
}

/** Somebody, or a rule, said yes or no. Decisions that allow are counted; those that deny are listed. */
export function isDecision({ type, outcome }: AnyRecord): boolean {
  return outcome === 'denied' || deciding.has(type);
}

const deciding = new Set<string>([
  'run.accepted',
  'run.refused',
  'request.answered',
  'request.closed',
  'run.cancel.requested',
  'run.pause.requested',
  'run.unpaused',
  'auth.succeeded',
  'auth.failed',
  'api.rejected',
  'access.denied',
  'quota.refused',
  'runtime.accepted',
  'secret.granted',
]);

export function isAlert({ sev }: AnyRecord): boolean {
  return sev === 'alert' || sev === 'warn';
}
