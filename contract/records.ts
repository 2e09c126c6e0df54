import { z } from 'zod';
import { Digest, RunId, SubjectId } from './ids.ts';
import { prunedKinds, pruneReasons } from './prune.ts';
import { refusedShape, revisedShape } from './replan.ts';
import { answerKinds, questionKinds, requestEnds, requestKinds } from './requests.ts';
import { attemptOutcomes, continueModes, failureClasses, LimitName, runOutcomes } from './run.ts';
import { GrownTool, programStandings } from './tools.ts';

/**
 * The registry of everything the log can say. One row a type; the data schema is closed.
 *
 * Two-stage acts (`stages: 'act'`) come as an `intent` record, durable before the act, and a
 * `result` record with the same `req`, durable before the result is released. Everything else is
 * a single `note`. Types are never renamed or reused; a changed meaning is a new type.
 *
 * Data obeys the canonical limits of the log: keys `[a-z][a-z0-9_]*`, integers only, no null, no
 * float, at most six levels deep.
 */
const text = (max: number) => z.string().max(max);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);
const names = z.array(text(256)).max(512);
const place = { attempt: count.optional() };

const limits = z.strictObject({
  cpu_milli: count,
  memory_bytes: count,
  pids: count,
  open_files: count,
  file_size_bytes: count,
  disk_bytes: count.optional(),
  disk_files: count.optional(),
  tmp_bytes: count,
  output_bytes: count,
  timeout_ms: count,
  idle_ms: count.optional(),
});

const settings = z.strictObject({
  image: text(256),
  user: text(64),
  network: text(64),
  readonly_root: z.boolean(),
  no_new_privileges: z.boolean(),
  privileged: z.boolean(),
  caps_added: names,
  caps_dropped: names,
  seccomp: text(128),
  apparmor: text(128),
  selinux: text(128).optional(),
  ipc: text(64),
  pid: text(64),
  cgroupns: text(64),
  runtime: text(64),
  memory_bytes: count,
  memory_swap_bytes: count,
  cpu_milli: count,
  pids: count,
  ulimits: names,
  devices: names,
  masked_paths: count,
  readonly_paths: count.optional(),
  init: z.boolean().optional(),
  shm_bytes: count.optional(),
  /** Digest of the canonical argv: which command, without its words. */
  command: Digest.optional(),
  env_names: names,
  mounts: z
    .array(
      z.strictObject({
        kind: text(16),
        source: text(4096),
        target: text(512),
        readonly: z.boolean(),
        options: text(256),
      }),
    )
    .max(32),
});

const row = <S extends 'act' | 'note', D extends z.ZodType>(stages: S, data: D) => ({
  stages,
  data,
});
const note = <T extends z.ZodRawShape>(shape: T) => row('note', z.strictObject(shape));
const act = <T extends z.ZodRawShape>(shape: T) => row('act', z.strictObject(shape));

/** What one planner did for a plan, and what it cost; `code` is `ok` or why it was of no use. */
const triedPlanner = {
  planner: text(64),
  code: text(16),
  ms: count,
  rounds: count,
  input_tokens: count,
  output_tokens: count,
  /** Millionths of the currency of its price. */
  cost_micro: count.optional(),
};
/** In the order of trial; the last one made the plan, where there is one. */
const triedPlanners = z.array(z.strictObject(triedPlanner)).max(32);

const leftOutFirst = z.array(z.strictObject({ path: text(256), reason: text(32) })).max(32);

/** How an attempt ended, and what it used. */
const attemptEnd = {
  attempt: count,
  exit_code: count.optional(),
  signal: text(16).optional(),
  limit: LimitName.optional(),
  reason: text(512).optional(),
  duration_ms: count,
  cpu_ms: count,
  memory_peak_bytes: count,
  cpu_throttled_ms: count.optional(),
  pids_peak: count.optional(),
  open_files_peak: count.optional(),
  disk_bytes: count.optional(),
  disk_files: count.optional(),
  tmp_peak_bytes: count.optional(),
  output: Digest.optional(),
  output_bytes: count,
  output_truncated: z.boolean(),
  /** Where it was cut: what came beyond the limit until the task was dead. */
  output_dropped_bytes: count.optional(),
  /** What its output looked like: ids of hints, and the blob with the lines. Never evidence. */
  hints: z.array(text(64)).max(8).optional(),
  hint_lines: Digest.optional(),
};

export const recordTypes = {
  // the log itself
  'log.genesis': note({ origin: text(128), format: count, version: text(64), host: text(256) }),
  'log.segment.opened': note({ first_seq: count, previous: text(64), previous_size: count }),
  'log.segment.closed': note({ first_seq: count, records: count, bytes: count }),
  'log.recovered': note({ bytes: count, sha256: hex64, last_good_seq: count, file: text(256) }),
  'log.loss.acknowledged': note({ expected_size: count, found_size: count, reason: text(512) }),
  'log.verified': note({ records: count, verdict: text(32), reason: text(64), duration_ms: count }),
  'log.read': note({ what: text(32), query: text(512), records: count }),
  /** Of the run that `obj` names, every line with its proof was handed out, to be checked elsewhere. */
  'log.extracted': note({
    records: count,
    first_seq: count,
    last_seq: count,
    tree_size: count,
    /** The run was closed: nothing more of it can come. */
    complete: z.boolean(),
  }),
  /** Before the first byte leaves: `from_seq` up to, not including, `to_seq`, of which `records` fit. */
  'log.exported': note({
    format: text(16),
    query: text(1024),
    records: count,
    from_seq: count,
    to_seq: count,
  }),
  /** A receiver takes nothing for a while; once for each time. What waits for it stays in the log. */
  'forward.stalled': note({
    forwarder: text(32),
    to: text(256),
    next_seq: count,
    failing_ms: count,
    reason: text(256),
  }),
  'forward.resumed': note({ forwarder: text(32), next_seq: count, stalled_ms: count }),
  /**
   * Whole segments from the front of the log are let go; this is durable and signed before the first
   * of them is removed, and they are removed oldest first. What a reader may rely on, and a verifier
   * has to check, where the first record that is there is number F > 0:
   *
   * - a record of this type is there (it always is: it comes after what it lets go) in which F is
   *   `to_seq`, or the `first_seq` of one of `segments`: a removal that is not over. Its files that
   *   are still there are those it names, byte for byte (`sha256`, of the whole file).
   * - record F opens a segment, and its `prev` is the `last` of the segment before it; for `to_seq`
   *   that is the `last` of the last one of `segments`.
   * - `segments` are gapless from `from_seq` to `to_seq`; `from_seq` is 0 or the `to_seq` of the
   *   record of this type before, where that one is still there.
   * - a run whose first record at or after `to_seq` has rseq k > 0 is in `spans` of the newest record
   *   of this type, with `records` k and its rprev as `last`; every other run begins there at 0.
   * - `tree_size` and `root` (base64) are those of a signed checkpoint in `checkpoints.log`, of at
   *   least `to_seq` records and of no more than come before this one. All leaves below `to_seq` lie
   *   in full tiles.
   * - The record itself is covered by a signed checkpoint before anything is removed.
   *
   * The newest one counts; earlier ones may be pruned themselves. Nothing in a pruned part is in
   * force but what `log.carried` says, in the same batch, before this record.
   */
  'log.pruned': note({
    origin: text(256),
    from_seq: count,
    to_seq: count,
    /** Time of the last record that goes. */
    until: text(32),
    segments: z
      .array(
        z.strictObject({
          first_seq: count,
          records: count,
          bytes: count,
          sha256: hex64,
          last: hex64,
        }),
      )
      .min(1)
      .max(40),
    /** Runs with records on both sides of `to_seq`: how many of them go, and the hash of the last. */
    spans: z
      .array(z.strictObject({ run: text(16), records: count, last: hex64, closed: z.boolean() }))
      .max(128),
    tree_size: count,
    root: text(64),
    keep_days: count,
  }),
  /**
   * A record that goes and is still in force: its line as it was, and the proof that it was number
   * `of` of the tree of `tree_size` records, of which `checkpoints.log` has a signed checkpoint. For
   * a `key.rotated` that is the last one of the old key, so `tree_size` is `of` + 1. Whoever folds
   * the log folds the line where it did not see record `of` itself, and a key record in here counts
   * like the record where the proof holds. `sha256` is the hash of the record, over 0x00 and the line.
   */
  'log.carried': note({
    of: count,
    line: text(12_000),
    sha256: hex64,
    tree_size: count,
    root: text(64),
    proof: z.array(text(64)).max(63),
  }),
  /** Nothing of it is pruned: of the whole log, or of what was recorded in a time, both inclusive. */
  'log.hold.set': note({
    hold: text(64),
    reason: text(512),
    since: text(32).optional(),
    until: text(32).optional(),
  }),
  'log.hold.cleared': note({ hold: text(64), reason: text(512) }),
  /** A bundle of evidence was made, of records of a time: what is in it, and the tree it is about. */
  'evidence.made': note({
    from: text(32),
    to: text(32),
    records: count,
    tree_size: count,
    root: text(64),
    manifest: hex64,
  }),
  'attestation.made': note({
    kind: text(64),
    files: z.array(z.strictObject({ name: text(64), sha256: hex64 })).max(16),
    key: Digest,
    public_key: text(256),
  }),
  // who outside of this machine keeps the log's checkpoints
  'anchor.requested': note({ size: count }),
  'anchor.sent': note({ anchor: text(64), size: count, duration_ms: count }),
  'anchor.failed': note({
    anchor: text(64),
    size: count,
    reason: text(32),
    failures: count,
    detail: text(512),
  }),
  'witness.cosigned': note({
    witness: text(64),
    size: count,
    /** Seconds since 1970, by the witness's clock. */
    time: count,
    duration_ms: count,
  }),
  'witness.refused': note({
    witness: text(64),
    size: count,
    /** HTTP, 0 where there was none. */
    status: count,
    reason: text(32),
    failures: count,
    detail: text(512),
  }),
  /** Once, when too much is held by this machine alone; over with the next that others hold. */
  'log.unanchored': note({ action: text(16), anchored: count, records: count, age_ms: count }),
  'clock.jump': note({ from: text(32), to: text(32), jump_ms: z.number().int() }),
  /** Nothing happened for so long; `size` records were there before this one. */
  'log.heartbeat': note({ size: count, idle_ms: count }),
  /**
   * The first key that signs the log; a later one where the one before was given up with a loss, and
   * then what that key had signed last.
   */
  'key.created': note({
    epoch: count,
    vkey: text(512),
    lost: z.strictObject({ vkey: text(512), size: count, root: text(64) }).optional(),
  }),
  /** The next key, which signs from the size behind this record on; `previous` signs up to it. */
  'key.rotated': note({ epoch: count, vkey: text(512), previous: text(512) }),
  /** The key of an epoch is gone; the last that it signed, as a note. */
  'key.destroyed': note({ epoch: count, vkey: text(512), checkpoint: text(2048) }),

  // the daemon
  'daemon.started': note({
    version: text(64),
    node: text(64),
    kernel: text(256),
    uid: count,
    pid: count,
    config: Digest,
    clean_stop: z.boolean(),
    engine: text(64),
    engine_version: text(128),
    socket: text(256),
  }),
  'daemon.stopping': note({ reason: text(64) }),
  'daemon.stopped': note({ runs_open: count }),
  'daemon.crashed': note({ last_boot: text(64), runs_open: count }),
  'daemon.error': note({ code: text(64), what: text(1024) }),
  'config.loaded': note({ config: Digest, source: text(4096) }),
  /** A runtime with a known way out of its containers is used all the same, as configured. */
  'runtime.accepted': note({
    component: text(64),
    version: text(64),
    cves: z.array(text(32)).min(1).max(64),
  }),
  /** In force from here on. `document` is the digest of its text; `before` what it takes the place of. */
  'policy.loaded': note({
    name: text(64),
    policy: Digest,
    source: text(4096),
    document: Digest.optional(),
    before: Digest.optional(),
    changes: z.array(text(256)).max(64).optional(),
  }),
  'policy.removed': note({ name: text(64), policy: Digest, source: text(4096) }),
  'policy.rejected': note({ name: text(64), source: text(4096), reason: text(1024) }),

  // who may do what
  'auth.succeeded': note({ method: text(32) }),
  /** With `more`: so many in a minute that were not recorded one by one, of which this is the last. */
  'api.rejected': note({
    route: text(256),
    code: text(64),
    reason: text(512),
    more: count.optional(),
  }),
  /** Somebody wanted what he may not: `needs` names the roles that may. */
  'access.denied': note({
    route: text(256),
    needs: names,
    reason: text(512),
    more: count.optional(),
  }),
  /** A quota was used up: nothing began. */
  'quota.refused': note({
    quota: text(32),
    of: text(80),
    used: count,
    allowed: count,
    more: count.optional(),
  }),
  /** Somebody came without a token that holds. */
  'auth.failed': note({
    method: text(32),
    reason: text(32),
    address: text(64),
    more: count.optional(),
  }),
  /** Its holder is told it once; here is a hash. It gives no more than its owner has at each use. */
  'token.created': note({
    token: text(16),
    hash: hex64,
    uid: count,
    roles: z.array(text(32)).min(1).max(8),
    scopes: z.array(text(32)).min(1).max(32),
    expires_at: text(32),
    note: text(200).optional(),
  }),
  'token.revoked': note({ token: text(16), reason: text(512) }),

  // a run
  'input.copied': note({ snapshot: Digest, files: count, bytes: count }),
  'run.submitted': note({
    /** Of records before there was a vault; later ones carry the commitment to it. */
    intent: text(2000).optional(),
    /** What was asked for, as a commitment; the words are in the vault, under this subject. */
    intent_commitment: hex64.optional(),
    subject: SubjectId.optional(),
    snapshot: Digest,
    policy: text(64),
    concurrency: count,
    timeout_ms: count,
    workspace: text(256),
    /** Of the workspace's files, before it is packed. */
    workspace_bytes: count.optional(),
    priority: z.number().int().optional(),
    /** False where every task runs, whatever ran before. */
    cache: z.boolean().optional(),
    /** How often its plan may be revised; where nobody said, its planner and its tasks decide. */
    replan: count.optional(),
    continues: z
      .strictObject({
        run: RunId,
        mode: z.enum(continueModes),
        task: text(48).optional(),
        /** Tasks with side effects were allowed to run once more. */
        again: z.boolean(),
      })
      .optional(),
  }),
  'run.accepted': note({
    plan: Digest,
    policy: Digest,
    tasks: count,
    image: text(256),
    /** What the ceiling took away from the policy that was asked for, in words. */
    narrowed: names.optional(),
  }),
  'run.refused': note({ code: text(64), reasons: z.array(text(512)).max(64) }),
  'run.cancel.requested': note({ reason: text(256) }),
  'run.pause.requested': note({ kind: z.enum(['drain', 'freeze']), reason: text(256) }),
  'run.unpaused': note({ reason: text(256) }),
  /** A daemon that started goes on with a run that an earlier one left open. */
  'run.recovered': note({ done: count, adopted: count, lost: count }),
  'run.cancelled': note({ reason: text(256) }),
  'run.timed_out': note({ timeout_ms: count }),
  'run.closed': note({
    outcome: z.enum(runOutcomes),
    records: count,
    artifacts: count,
    duration_ms: count,
    exit_code: count,
    reason: text(512),
  }),
  /** The newest of each person counts. The note is in the vault, under the subject. */
  'run.rated': note({
    rating: z.enum(['up', 'down']),
    note_commitment: hex64.optional(),
    subject: SubjectId.optional(),
  }),
  /** What came before teaches nothing any more: of one owner or all, of one family or all. */
  'learning.forgotten': note({
    family: text(160).optional(),
    owner: text(64).optional(),
    before_seq: count,
  }),
  'plan.requested': note({ planner: text(64), profile: Digest }),
  'plan.made': note({
    planner: text(64),
    plan: Digest,
    tasks: count,
    bytes: count,
    clamped: names,
    tried: triedPlanners.optional(),
    /** What it does, whatever its tasks are called. */
    shape: Digest.optional(),
    /** What was asked for, in words of ours alone; absent where there were others. */
    goal: text(128).optional(),
    /** What kind of workspace it was made for. */
    kind: Digest.optional(),
    /** What earlier runs warn of. */
    warned: z.array(text(512)).max(32).optional(),
  }),
  /** Before a plan of an autonomous run is taken: how its programs stand, and whether they start. */
  'plan.rehearsed': note({
    plan: Digest,
    programs: z
      .array(
        z.strictObject({
          name: text(256),
          binary: Digest.optional(),
          standing: z.enum(programStandings),
          started: z.boolean().optional(),
        }),
      )
      .max(64),
  }),
  'plan.failed': note({
    planner: text(64),
    code: text(64),
    reasons: z.array(text(512)).max(64),
    tried: triedPlanners.optional(),
  }),
  /** Before anything of it runs: what is left of the run is done by another plan from here on. */
  'plan.revised': note({ ...revisedShape, tried: triedPlanners.optional() }),
  'replan.refused': note({ ...refusedShape, tried: triedPlanners.optional() }),
  /** Before a question leaves this machine: to whom, how much, and the digest of what it tells. */
  'planner.asked': note({
    planner: text(64),
    kind: text(16),
    model: text(128),
    host: text(256),
    /** Which words of ours surround it. */
    prompt: count,
    /** Of what is told of the workspace. */
    context: Digest,
    round: count,
    bytes: count,
  }),
  'planner.answered': note(triedPlanner),
  'policy.decided': note({
    ...place,
    decision: z.enum(['allow', 'deny']),
    /** Absent where a whole plan was denied: then no sandbox was specified. */
    spec: Digest.optional(),
    reasons: z.array(text(512)).max(64),
    /** The rules that made the decision what it is, each by the text of its document. */
    rules: z
      .array(
        z.strictObject({
          id: text(64),
          document: text(64),
          digest: Digest,
          line: count,
          effect: z.enum(['allow', 'deny', 'ask']),
        }),
      )
      .max(16)
      .optional(),
    profile: text(64).optional(),
    /** The blob with all that was judged, where a rule could look at it. */
    input: Digest.optional(),
    /** A rule asks, and this request was granted. */
    request: text(32).optional(),
  }),
  'checkpoint.saved': note({ checkpoint: Digest, bytes: count }),

  // what people are asked, about the task that `obj` names
  'request.opened': note({
    request: text(32),
    kind: z.enum(requestKinds),
    tool: text(48),
    /** Of the text that whoever answers is shown, which is a blob. */
    shown: Digest,
    plan: Digest,
    policy: Digest,
    /** The snapshot. */
    inputs: Digest,
    /** What is asked about, without the run: the sandbox, or the question. */
    about: Digest,
    ask: z
      .strictObject({
        approvals: count,
        from: z.array(z.array(text(80)).max(64)).max(64),
        self: z.boolean(),
      })
      .optional(),
    rules: z
      .array(z.strictObject({ document: text(64), id: text(64), digest: Digest, line: count }))
      .max(64),
    /** Granted, it puts this program on the list of who asks. */
    grows: GrownTool.optional(),
    question: z.strictObject({ name: text(64), kind: z.enum(questionKinds) }).optional(),
    expires_at: text(32),
  }),
  'request.answered': note({
    request: text(32),
    shown: Digest,
    answer: z.enum(answerKinds),
    reason: text(500).optional(),
    /** Of a question: a commitment to the value, which is in the vault; nothing at all of a secret. */
    value_commitment: hex64.optional(),
    subject: SubjectId.optional(),
  }),
  'request.closed': note({
    request: text(32),
    state: z.enum(requestEnds),
    reason: text(512).optional(),
  }),
  /** Nothing of the run is at work and it waits for people: its time stands still until it goes on. */
  'run.stands': note({ requests: count }),
  'run.goes_on': note({}),

  // a task
  'task.started': note({
    attempt: count,
    spec: Digest,
    action: Digest.optional(),
    /** What tells which tasks are like it, to learn from; without paths, versions and free text. */
    like: z
      .strictObject({
        family: text(160),
        /** Families that it waited for. */
        after: z.array(text(160)).max(8),
        timeout_ms: count,
        memory_bytes: count,
      })
      .optional(),
  }),
  'task.finished': note({
    ...attemptEnd,
    outcome: z.enum(['succeeded', 'failed', 'timed_out', 'violated', 'cancelled', 'unknown']),
    /** Passed only after it had failed with the same inputs. */
    flaky: z.boolean().optional(),
  }),
  /** An attempt is over and the task is not: the same words as `task.finished`. */
  'attempt.ended': note({ ...attemptEnd, outcome: z.enum(attemptOutcomes) }),
  /** Nobody can say now what becomes of it: its engine or its daemon went away. */
  'attempt.unknown': note({ attempt: count, reason: text(512) }),
  /** A daemon that started found it running or over, and takes it for its own. */
  'attempt.adopted': note({ attempt: count, found: z.enum(['running', 'exited']) }),
  /** Which rule says what kind of failure it was, and what to do about it. */
  'failure.classified': note({
    attempt: count,
    class: z.enum(failureClasses),
    rule: text(64),
    next: z.array(text(256)).max(8),
  }),
  'retry.scheduled': note({
    /** The attempt that comes. */
    attempt: count,
    after_ms: count,
    /** Whose it is: the task's own, or ours for what is not its fault. */
    budget: z.enum(['task', 'ours']),
    left: count,
  }),
  /** The task did not run: what it left in an earlier run, with the same inputs, counts for it. */
  'task.cached': note({
    from_run: RunId,
    from_task: text(48),
    attempt: count,
    why: z.enum(['cache', 'resumed']),
    action: Digest.optional(),
    layer: Digest,
    output: Digest.optional(),
    output_bytes: count,
    output_truncated: z.boolean(),
    duration_ms: count,
  }),
  /** It waits, because what it needs failed too often; and goes on. */
  'task.blocked': note({ component: text(128), reason: text(256) }),
  'component.opened': note({ component: text(128), failures: count, until_ms: count }),
  'component.closed': note({ component: text(128) }),
  /**
   * A task did what only an attack does, as far as it can be seen. `rule` is the wall that stopped
   * it, `evidence` what was seen.
   */
  'sandbox.violation': note({
    attempt: count,
    kind: text(32),
    rule: text(64),
    evidence: text(256),
  }),
  /**
   * What was asked for and what the sandbox really got, before the task's command begins.
   * `requested` is the digest of the spec, `effective` that of everything inspection said. Mounts
   * are told by what they show, never by paths of the host.
   */
  'sandbox.receipt': note({
    attempt: count,
    policy: z.strictObject({ name: text(64), digest: Digest }),
    image: z.strictObject({ reference: text(256), id: Digest, origin: text(64) }),
    engine: z.strictObject({ kind: text(64), version: text(128) }),
    kernel: text(256),
    /** Whose kernel answers the calls of the task: the host's, or one of the runtime's own. */
    kernel_of: z.enum(['host', 'runtime']),
    /** Who applies the filter of system calls. */
    seccomp_by: z.enum(['kernel', 'inside', 'ignored']),
    runtime_version: text(128).optional(),
    lsm: z.array(text(32)).max(32),
    userns: z.boolean(),
    rootless: z.boolean(),
    requested: Digest,
    effective: Digest,
    settings: settings.omit({ mounts: true }),
    limits,
    mounts: z
      .array(
        z.strictObject({
          target: text(512),
          kind: text(16),
          readonly: z.boolean(),
          executable: z.boolean(),
          bytes: count.optional(),
          /** Lowest first; one digest for the list where there are more than 64. */
          layers: z.array(Digest).max(64),
          layer_count: count,
        }),
      )
      .max(32),
    secrets: z.array(text(64)).max(16),
  }),
  'task.skipped': note({ reason: text(256), because: text(48).optional() }),
  'layer.sealed': note({ attempt: count, layer: Digest, entries: count, bytes: count }),
  /** What of a layer or an artifact was not taken, or not as it was: how much, and the first. */
  'layer.left_out': note({ attempt: count, entries: count, first: leftOutFirst }),
  'artifact.left_out': note({ name: text(48), entries: count, first: leftOutFirst }),
  'layer.dropped': note({ attempt: count, reason: text(256) }),
  'limit.exceeded': note({
    attempt: count,
    limit: text(32),
    allowed: count,
    /** The most that was seen; absent where nobody could look. */
    peak: count.optional(),
  }),
  'artifact.collected': note({
    name: text(48),
    path: text(512),
    sha256: hex64,
    bytes: count,
    kind: z.enum(['file', 'directory']),
  }),
  'artifact.rejected': note({ name: text(48), path: text(512), reason: text(256) }),
  /**
   * Said after the run is closed, so not one of its records: `obj` names run and task. `envelope` is
   * the digest of the signed statement about the task that left it, `bundle` that of the blob with
   * all statements about the run, a line each.
   */
  'artifact.attested': note({
    name: text(48),
    sha256: hex64,
    envelope: Digest,
    bundle: Digest,
    key: Digest,
  }),
  'artifact.downloaded': note({ name: text(48), sha256: hex64 }),

  // secrets: never a value, nor anything that is made from one
  'secret.set': act({ name: text(64), bytes: count, reason: text(512).optional() }),
  'secret.removed': act({ name: text(64), reason: text(512).optional() }),
  'secret.granted': note({ attempt: count, names: z.array(text(64)).min(1).max(16) }),
  /** How often output held a secret of the run, in any of its spellings. */
  'secret.masked': note({ attempt: count, times: count }),

  // personal data: the log holds commitments, the vault what they stand for
  /** Somebody is about to be told what the commitment in record `of` stands for, with its salt. */
  'data.disclosed': note({
    of: count,
    field: text(64),
    commitment: hex64,
    subject: SubjectId,
    reason: text(512).optional(),
  }),
  /** The key of a subject is destroyed: what the vault holds of it can never be read again. */
  'data.erased': act({ subject: SubjectId, reason: text(512) }),

  // the store; the log itself goes by `log.pruned`
  'store.prune': act({
    keep_days: count,
    keep_runs: count,
    budget_bytes: count.optional(),
    /** How many runs are kept and how many are no longer; each of those has its `run.pruned`. */
    kept: count,
    dropped: count,
    /** What is to go, then what has gone; `bytes` is what the disk gets back. */
    parts: z
      .array(z.strictObject({ what: z.enum(prunedKinds), entries: count, bytes: count }))
      .max(prunedKinds.length),
    reason: text(512).optional(),
  }),
  /** Of the run that `obj` names, nothing but its records is there from here on. */
  'run.pruned': note({ why: z.enum(pruneReasons), used_at: text(32) }),

  // images and dependencies
  'image.resolved': note({
    reference: text(256),
    id: Digest,
    origin: text(64),
    platform: text(64),
  }),
  'image.refused': note({ reference: text(256), reason: text(512) }),
  /**
   * The programs of an image were measured in a sandbox of it: `tools` of them, listed in the blob
   * `list`. Failed where that could not be done.
   */
  'tools.advertised': note({
    reference: text(256),
    image: Digest,
    tools: count,
    left_out: count,
    /** Of which programs the image says what is not so. */
    wrong: names,
    list: Digest.optional(),
    reason: text(512).optional(),
  }),
  /** On the list of a user from here on: this file in this image. `by` granted the request. */
  'tool.allowed': note({
    uid: count,
    name: text(64),
    version: text(128).optional(),
    binary: Digest,
    image: Digest,
    request: text(64),
    by: z.array(count).max(16),
  }),
  /** Nothing of this name is on the list of the user any more. */
  'tool.withdrawn': note({ uid: count, name: text(64) }),
  'provision.requested': note({ kind: text(16), lockfile: Digest, packages: count, hosts: names }),
  'package.fetched': act({
    name: text(256),
    version: text(256),
    host: text(256),
    integrity: text(256),
    bytes: count.optional(),
    reason: text(512).optional(),
  }),
  'package.refused': note({ name: text(256), version: text(256), reason: text(512) }),
  'provision.finished': note({
    kind: text(16),
    packages: count,
    fetched: count,
    bytes: count,
    outcome: text(32),
  }),

  // containers
  'container.create': act({
    ...place,
    name: text(128),
    spec: Digest,
    settings: settings.optional(),
    limits: limits.optional(),
    reason: text(512).optional(),
  }),
  'container.settings.mismatch': note({ ...place, differences: z.array(text(512)).max(64) }),
  /** What its task sees is copied into a volume of an engine that does not see our disk. */
  'container.fill': act({
    ...place,
    target: text(512),
    /** Of the tar stream. */
    bytes: count.optional(),
    reason: text(512).optional(),
  }),
  'container.start': act({ ...place, reason: text(512).optional() }),
  'container.release': act({
    ...place,
    spec: Digest,
    /** It stood ready before the task was there. */
    slot: z.boolean(),
    /** Digest of the canonical argv: which command, without its words. */
    command: Digest,
    env_names: names,
    reason: text(512).optional(),
  }),
  'container.signal': act({
    ...place,
    signal: text(16),
    why: text(64),
    reason: text(512).optional(),
  }),
  /** All its processes stand still, and its clocks with them; and go on. */
  'container.freeze': act({ ...place, why: text(64), reason: text(512).optional() }),
  'container.thaw': act({ ...place, why: text(64), reason: text(512).optional() }),
  /** A daemon that started takes the sandbox of an earlier one for its own, after it compared it. */
  'container.adopted': note({
    ...place,
    found: z.enum(['running', 'paused', 'exited']),
    slot: z.boolean(),
    spec: Digest,
  }),
  'container.remove': act({ ...place, reason: text(512).optional() }),
  'container.exited': note({
    ...place,
    by: z.enum(['engine', 'kernel']),
    exit_code: count,
    oom_killed: z.boolean(),
    started_at: text(40),
    finished_at: text(40),
    duration_ms: count,
    stdout_bytes: count,
    stderr_bytes: count,
    output_dropped_bytes: count.optional(),
    output: Digest.optional(),
  }),
  /** The engine's word on an exit that was told on the kernel's. */
  'container.confirmed': note({ exit_code: count, oom_killed: z.boolean(), agrees: z.boolean() }),
  'container.oom_killed': note({ ...place, memory_bytes: count }),
  'container.killed': note({ ...place, why: text(64) }),
  'container.reconciled': note({ ...place, found: text(64), action: text(64) }),
  'workspace.cleaned': note({ what: text(64), entries: count }),
} as const;

export type RecordType = keyof typeof recordTypes;
export type RecordData<T extends RecordType> = z.infer<(typeof recordTypes)[T]['data']>;
export type Stage = 'intent' | 'result' | 'note';
export type Outcome = 'ok' | 'denied' | 'failed' | 'unknown';
export type Severity = 'info' | 'notice' | 'warn' | 'alert';

export const Actor = z.strictObject({
  kind: z.enum(['user', 'daemon', 'task']),
  /**
   * How the identity was established: `peer` (kernel), `owner` (of a file made for it), `token`, `socket`
   * (could open it, no more), `self`, `none`.
   */
  auth: z.enum(['peer', 'owner', 'socket', 'token', 'self', 'none']),
  uid: count.optional(),
  gid: count.optional(),
  pid: count.optional(),
  name: text(64).optional(),
  /** Roles it had at that moment. */
  roles: z.array(text(16)).max(8).optional(),
  /** Supplementary groups that the kernel told, by number: a name may be a person's. */
  groups: z.array(count).max(128).optional(),
  /** The id of the token that was shown. */
  token: text(64).optional(),
});
export type Actor = z.infer<typeof Actor>;

/** One line of the log, `data` is checked against its type's own schema. */
export const LogRecord = z.strictObject({
  v: z.literal(1),
  seq: count,
  prev: hex64,
  ts: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  mono: count,
  boot: text(64),
  type: text(64),
  stage: z.enum(['intent', 'result', 'note']),
  outcome: z.enum(['ok', 'denied', 'failed', 'unknown']),
  sev: z.enum(['info', 'notice', 'warn', 'alert']),
  actor: Actor,
  req: text(64).optional(),
  run: text(16).optional(),
  rseq: count.optional(),
  rprev: hex64.optional(),
  obj: z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), text(256)).optional(),
  pol: z.strictObject({ hash: text(80), rule: text(128) }).optional(),
  data: z.record(z.string(), z.unknown()),
});
export type LogRecord = z.infer<typeof LogRecord>;

/** A record of a known type with its data typed. */
export type RecordOf<T extends RecordType> = Omit<LogRecord, 'type' | 'data'> & {
  type: T;
  data: RecordData<T>;
};
export type AnyRecord = { [T in RecordType]: RecordOf<T> }[RecordType];
