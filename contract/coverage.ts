/**
 * Of every type of record, the test that makes the daemon emit it. `test/unit/house/coverage.test.ts`
 * holds it against the registry and the tests, and says what to add here for a new type.
 */
type Proof = readonly [file: string, test: string];

export const recordCoverage: Readonly<Record<string, Proof>> = {
  'access.denied': [
    'test/unit/http/access.test.ts',
    'that somebody tried is on record all the same',
  ],
  'anchor.failed': [
    'test/unit/audit/anchoring/hooks.test.ts',
    'a hook that does `%s` has failed, and says why',
  ],
  'anchor.requested': [
    'test/unit/audit/anchoring/hooks.test.ts',
    'a hook gets the signed checkpoint and nothing of the daemon’s environment',
  ],
  'anchor.sent': [
    'test/unit/audit/anchoring/hooks.test.ts',
    'a hook gets the signed checkpoint and nothing of the daemon’s environment',
  ],
  'api.rejected': [
    'test/unit/http/edge.test.ts',
    'an unknown route is refused and recorded with its caller',
  ],
  'artifact.attested': [
    'test/unit/runs/provenance.test.ts',
    'each artifact is on record with the digest of its statement, after the run and not of it',
  ],
  'artifact.collected': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'artifact.downloaded': [
    'test/unit/runs/trail.test.ts',
    'the trail of those who bring a workspace, read the log, fetch an artifact or pin an image',
  ],
  'artifact.left_out': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that leaves what is not taken along',
  ],
  'artifact.rejected': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task without the output that it promised',
  ],
  'attempt.adopted': [
    'test/e2e/taken-over.test.ts',
    'a task runs on while its daemon is dead, and the next one misses no line of it',
  ],
  'attempt.ended': [
    'test/unit/runs/trail.test.ts',
    'the trail of an engine that does not make the container',
  ],
  'attempt.unknown': [
    'test/unit/runs/trail.test.ts',
    'the trail of an engine that makes the container and never says so',
  ],
  'attestation.made': [
    'test/unit/audit/attest.test.ts',
    'a signature covers the digests and the record that says so, whose hash it names',
  ],
  'auth.failed': ['test/unit/http/tcp.test.ts', 'a token that is %s gets nowhere and is recorded'],
  'auth.succeeded': [
    'test/unit/http/edge.test.ts',
    'the kernel names the caller of the first call of a connection that changes something',
  ],
  'checkpoint.saved': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'clock.jump': [
    'test/unit/audit/append.test.ts',
    'a clock that jumps %s leaves a record of it before the next one',
  ],
  'component.closed': [
    'test/unit/runs/failures/circuits.test.ts',
    'one may try, the others wait for what comes of it',
  ],
  'component.opened': [
    'test/unit/runs/failures/circuits.test.ts',
    'three failures in a row open it, and the log learns until when',
  ],
  'config.loaded': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts for the first time and ends',
  ],
  'container.adopted': [
    'test/engine/adopt.test.ts',
    'runs on, and every line comes once and in order, with the way it ended',
  ],
  'container.confirmed': [
    'test/unit/engine/exits.test.ts',
    'the kernel tells an exit before the engine does, and the engine confirms it on record',
  ],
  'container.create': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'container.exited': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'container.fill': [
    'test/unit/engine/guard.test.ts',
    'what is copied into a volume is on record before and after, with how much it was',
  ],
  'container.freeze': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run that stands still and goes on',
  ],
  'container.killed': ['test/unit/runs/trail.test.ts', 'the trail of a task past its time'],
  'container.oom_killed': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that is killed for memory',
  ],
  'container.reconciled': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts after one that was killed in the middle of a task',
  ],
  'container.release': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'container.remove': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'container.settings.mismatch': [
    'test/unit/runs/trail.test.ts',
    'the trail of an engine that makes another container than it was told',
  ],
  'container.signal': ['test/unit/runs/trail.test.ts', 'the trail of a task past its time'],
  'container.start': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'container.thaw': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run that stands still and goes on',
  ],
  'daemon.crashed': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts after one that was killed in the middle of a task',
  ],
  'daemon.error': [
    'test/unit/http/edge.test.ts',
    'that something of ours broke is on record before the caller hears of it',
  ],
  'daemon.started': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts for the first time and ends',
  ],
  'daemon.stopped': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts for the first time and ends',
  ],
  'daemon.stopping': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts for the first time and ends',
  ],
  'data.disclosed': [
    'test/unit/audit/vault/vault.test.ts',
    'what is disclosed can be checked against the record without us, and that it was is on record',
  ],
  'data.erased': [
    'test/unit/audit/vault/vault.test.ts',
    'what was erased cannot be read again, by nobody and after no restart; others are untouched',
  ],
  'evidence.made': [
    'test/unit/audit/evidence/evidence.test.ts',
    'what is made is on record with the digest of its manifest, which is signed',
  ],
  'failure.classified': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that fails, and one that waited for it',
  ],
  'forward.resumed': [
    'test/unit/audit/forward/forwarder.test.ts',
    'that a receiver takes nothing is on record once, and that it does again as well',
  ],
  'forward.stalled': [
    'test/unit/audit/forward/forwarder.test.ts',
    'that a receiver takes nothing is on record once, and that it does again as well',
  ],
  'image.refused': [
    'test/unit/runs/trail.test.ts',
    'the trail of an image that is not the pinned one any more',
  ],
  'image.resolved': [
    'test/unit/runs/trail.test.ts',
    'the trail of those who bring a workspace, read the log, fetch an artifact or pin an image',
  ],
  'input.copied': [
    'test/unit/runs/trail.test.ts',
    'the trail of those who bring a workspace, read the log, fetch an artifact or pin an image',
  ],
  'key.created': [
    'test/unit/audit/tree/trail.test.ts',
    'at the very first start lets the log begin, and its key is on record once it is there',
  ],
  'key.destroyed': [
    'test/unit/audit/tree/trail.test.ts',
    'of a rotation at %s ends in one key, named by the one before',
  ],
  'key.rotated': [
    'test/unit/audit/tree/trail.test.ts',
    'of a rotation at %s ends in one key, named by the one before',
  ],
  'layer.dropped': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that fails, and one that waited for it',
  ],
  'layer.left_out': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that leaves what is not taken along',
  ],
  'layer.sealed': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'learning.forgotten': [
    'test/unit/runs/learning.test.ts',
    'what was learned can be forgotten, and a new daemon does not know it either',
  ],
  'limit.exceeded': ['test/unit/runs/trail.test.ts', 'the trail of a task past its time'],
  'log.carried': [
    'test/unit/audit/retention/prune.test.ts',
    'records that stay in force are carried over with a proof, once and again',
  ],
  'log.exported': [
    'test/unit/audit/export/export.test.ts',
    'who, which and how many is durable before the first byte leaves',
  ],
  'log.extracted': [
    'test/unit/audit/extract/extractor.test.ts',
    'who took which run is on record before a byte leaves',
  ],
  'log.genesis': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts for the first time and ends',
  ],
  'log.heartbeat': [
    'test/unit/audit/tree/trail.test.ts',
    'over a word that nothing happened, when nothing did',
  ],
  'log.hold.cleared': [
    'test/unit/audit/retention/prune.test.ts',
    'who sets and clears a hold, and why, is on record',
  ],
  'log.hold.set': [
    'test/unit/audit/retention/prune.test.ts',
    'who sets and clears a hold, and why, is on record',
  ],
  'log.loss.acknowledged': [
    'test/unit/runs/trail.test.ts',
    'the trail of a log that rotates, is torn, and then loses a record',
  ],
  'log.pruned': [
    'test/unit/audit/retention/prune.test.ts',
    'the record names each file that went, as it was',
  ],
  'log.read': [
    'test/unit/runs/trail.test.ts',
    'the trail of those who bring a workspace, read the log, fetch an artifact or pin an image',
  ],
  'log.recovered': [
    'test/unit/runs/trail.test.ts',
    'the trail of a log that rotates, is torn, and then loses a record',
  ],
  'log.segment.closed': [
    'test/unit/runs/trail.test.ts',
    'the trail of a log that rotates, is torn, and then loses a record',
  ],
  'log.segment.opened': [
    'test/unit/runs/trail.test.ts',
    'the trail of a log that rotates, is torn, and then loses a record',
  ],
  'log.unanchored': [
    'test/unit/audit/anchoring/unanchored.test.ts',
    'past the limit no run is taken, once is it on record, and it clears by itself',
  ],
  'log.verified': [
    'test/unit/runs/trail.test.ts',
    'the trail of those who bring a workspace, read the log, fetch an artifact or pin an image',
  ],
  'package.fetched': ['test/unit/runs/trail.test.ts', 'the trail of a run that needs a package'],
  'package.refused': [
    'test/unit/runs/trail.test.ts',
    'the trail of a package whose bytes are not those of the lockfile',
  ],
  'plan.failed': ['test/unit/runs/trail.test.ts', 'the trail of a plan that is none'],
  'planner.answered': [
    'test/unit/runs/plan-words.test.ts',
    'a plan that a model makes after another one failed is on record question by question, before each of them',
  ],
  'planner.asked': [
    'test/unit/runs/plan-words.test.ts',
    'a plan that a model makes after another one failed is on record question by question, before each of them',
  ],
  'plan.rehearsed': [
    'test/unit/runs/autonomous.test.ts',
    'the image says what there is, a person approves what is new, and the second run goes by itself',
  ],
  'plan.made': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'plan.revised': [
    'test/unit/runs/replan/replan.test.ts',
    'a failed build is planned around: what is done is kept, and the run ends green',
  ],
  'replan.refused': [
    'test/unit/runs/replan/replan.test.ts',
    'the same failure after a new plan ends the run, and says what a person can do',
  ],
  'plan.requested': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'policy.decided': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'policy.loaded': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts for the first time and ends',
  ],
  'policy.removed': [
    'test/unit/policy/reload.test.ts',
    'a document whose file is gone is in force no more, and the log says so',
  ],
  'policy.rejected': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon with a policy that nobody can read',
  ],
  'provision.finished': ['test/unit/runs/trail.test.ts', 'the trail of a run that needs a package'],
  'provision.requested': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run that needs a package',
  ],
  'quota.refused': [
    'test/unit/access/quotas.test.ts',
    'a run whose tasks are used up ends denied, with exit code 6 and the way on',
  ],
  'request.answered': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that somebody said no to',
  ],
  'request.closed': [
    'test/unit/runs/requests.test.ts',
    'a task that is asked for waits, and runs once somebody entitled approved',
  ],
  'request.opened': [
    'test/unit/runs/requests.test.ts',
    'a task that is asked for waits, and runs once somebody entitled approved',
  ],
  'retry.scheduled': [
    'test/unit/runs/trail.test.ts',
    'the trail of an engine that does not make the container',
  ],
  'run.accepted': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'run.cancel.requested': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run that its user cancels',
  ],
  'run.cancelled': ['test/unit/runs/trail.test.ts', 'the trail of a run that its user cancels'],
  'run.closed': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'run.goes_on': [
    'test/unit/runs/requests.test.ts',
    'the time in which a run only waits for people does not count',
  ],
  'run.pause.requested': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run that is paused and goes on',
  ],
  'run.pruned': [
    'test/unit/runs/prune/pruner.test.ts',
    'each run that is dropped is, before anything of it goes, and what went afterwards',
  ],
  'run.rated': [
    'test/unit/runs/learning.test.ts',
    'who ran it rates it, once each, and the note is in the vault alone',
  ],
  'run.recovered': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts after one that was killed in the middle of a task',
  ],
  'run.refused': [
    'test/unit/runs/trail.test.ts',
    'the trail of a package whose bytes are not those of the lockfile',
  ],
  'run.stands': [
    'test/unit/runs/requests.test.ts',
    'the time in which a run only waits for people does not count',
  ],
  'run.submitted': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'run.timed_out': ['test/unit/runs/trail.test.ts', 'the trail of a run past its time'],
  'run.unpaused': ['test/unit/runs/trail.test.ts', 'the trail of a run that is paused and goes on'],
  'runtime.accepted': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon on a runtime that is known to be broken, as the operator accepted',
  ],
  'sandbox.receipt': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'sandbox.violation': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that the filter of system calls kills',
  ],
  'secret.granted': [
    'test/unit/runs/trail.test.ts',
    'the trail of a secret that is set, granted, shown by another task, and removed',
  ],
  'secret.masked': [
    'test/unit/runs/trail.test.ts',
    'the trail of a secret that is set, granted, shown by another task, and removed',
  ],
  'secret.removed': [
    'test/unit/runs/trail.test.ts',
    'the trail of a secret that is set, granted, shown by another task, and removed',
  ],
  'secret.set': [
    'test/unit/runs/trail.test.ts',
    'the trail of a secret that is set, granted, shown by another task, and removed',
  ],
  'store.prune': [
    'test/unit/runs/prune/pruner.test.ts',
    'each run that is dropped is, before anything of it goes, and what went afterwards',
  ],
  'task.blocked': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that waits for an engine that is out of order',
  ],
  'task.cached': [
    'test/unit/runs/trail.test.ts',
    'the trail of a failed run that somebody resumes',
  ],
  'task.finished': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'task.skipped': [
    'test/unit/runs/trail.test.ts',
    'the trail of a task that fails, and one that waited for it',
  ],
  'task.started': [
    'test/unit/runs/trail.test.ts',
    'the trail of a run with an artifact and a task after it',
  ],
  'token.created': [
    'test/unit/access/tokens-office.test.ts',
    'the log has a hash of a token and nothing of its secret, and neither has any list',
  ],
  'token.revoked': ['test/unit/access/tokens-office.test.ts', 'revoking twice records it once'],
  'witness.cosigned': [
    'test/unit/audit/anchoring/witnesses.test.ts',
    'a witness that was away gets the proof from where it was, and signs the newest',
  ],
  'witness.refused': [
    'test/unit/audit/anchoring/witnesses.test.ts',
    '%s is on record as such, and nothing of it counts',
  ],
  'tool.allowed': [
    'test/unit/runs/tools/growth.test.ts',
    'a grant puts the program on the list of who asked, not of who approved',
  ],
  'tool.withdrawn': [
    'test/unit/runs/tools/tools.test.ts',
    'a program is on the list of one user until it is taken off, and then nothing is there',
  ],
  'tools.advertised': [
    'test/unit/runs/tools/tools.test.ts',
    'an image is measured once, in a sandbox without a workspace that is judged and on record',
  ],
  'workspace.cleaned': [
    'test/unit/runs/trail.test.ts',
    'the trail of a daemon that starts after one that was killed in the middle of a task',
  ],
};
