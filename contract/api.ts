import { z } from 'zod';
import { type Callers, everyRole, readers, UsageQuery, UsageRow, WhoAmI } from './access.ts';
import { AnchoringView, AnchorNow } from './anchoring.ts';
import { Attestation, AttestFiles } from './attestation.ts';
import { AuditExportQuery, ForwarderStatus } from './audit-export.ts';
import {
  AuditFollow,
  AuditPage,
  AuditQuery,
  AuditShown,
  AuditStats,
  AuditStatsQuery,
  VerifyLog,
} from './audit.ts';
import { CheckpointAnswer, CheckpointQuery, KeysAnswer } from './checkpoint.ts';
import { TaskReceipt } from './explain.ts';
import { Digest, RunId, SecretName, SubjectId } from './ids.ts';
import { framesType } from './output-frames.ts';
import { TriedPlanner } from './planning.ts';
import { ProvenanceAnswer, ProvenanceKey } from './provenance.ts';
import { PruneAnswer, PruneStore } from './prune.ts';
import { AnswerRequest, RequestQuery, RequestRow, RequestView } from './requests.ts';
import {
  ClearHold,
  EvidenceQuery,
  HoldList,
  LogPruneAnswer,
  PruneLog,
  SetHold,
} from './retention.ts';
import {
  ChangeSet,
  MissingAnswer,
  MissingRequest,
  SnapshotAnswer,
  SnapshotInfo,
} from './snapshot.ts';
import {
  Artifact,
  CancelRun,
  ContinueAnswer,
  ContinueRun,
  ImportRun,
  PauseRun,
  RunCheckpoint,
  RunRow,
  RunView,
  SubmitRun,
} from './run.ts';
import { ToolLists, ToolsAnswer, ToolsQuery, WithdrawTool } from './tools.ts';
import { CreatedToken, CreateToken, RevokeToken, TokenRow } from './tokens.ts';
import { DiscloseData, Disclosure, EraseSubject, SubjectRow } from './vault.ts';

/**
 * The endpoint table: the daemon's routes, the typed client and `/openapi.json` are made from it.
 *
 * `answer`: what a success carries. `json` answers are described by `response`; `events` is SSE
 * whose `id` is a sequence number of the log and whose `data` is one record; `ndjson` is one JSON
 * object a line; `bytes` is a body of its own type. `also` is a type that the same call answers with
 * where the caller's `accept` names it. Errors are always `application/problem+json`.
 * `changes` says whether the call changes state; such calls name their caller in the log.
 */
export type Endpoint = {
  method: 'GET' | 'POST';
  path: string;
  summary: string;
  answer: 'json' | 'events' | 'ndjson' | 'bytes';
  also?: string;
  changes: boolean;
  /** Who may call it, and `admin` always. Whose runs are meant, the call itself looks at. */
  roles: Callers;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** For a body that is not JSON. */
  bodyType?: string;
  response?: z.ZodType;
};

const Count = z.coerce.number().int().min(0);
const Page = { limit: z.coerce.number().int().min(1).max(500).default(50) };

export const Problem = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  instance: z.string().optional(),
  code: z.string(),
  exit_code: z.number().int(),
  hint: z.string().optional(),
  errors: z
    .array(
      z.strictObject({
        pointer: z.string().optional(),
        file: z.string().optional(),
        line: z.number().int().optional(),
        column: z.number().int().optional(),
        message: z.string(),
        hint: z.string().optional(),
      }),
    )
    .optional(),
});
export type Problem = z.infer<typeof Problem>;

export const Version = z.strictObject({
  product: z.string(),
  version: z.string(),
  api: z.string(),
  node: z.string(),
});

export const Check = z.strictObject({
  name: z.string(),
  status: z.enum(['ok', 'warning', 'problem']),
  message: z.string(),
  remedy: z.string().optional(),
});
export type Check = z.infer<typeof Check>;

export const Verdict = z.looseObject({
  exit_code: z.number().int(),
  verdict: z.string(),
  records: z.number().int(),
});

export const PlanAnswer = z.strictObject({
  digest: Digest,
  plan: z.looseObject({ version: z.literal(1) }),
  clamped: z.array(z.string()),
  summary: z.array(z.string()),
  /** Who was asked for it, in that order; absent where only one could be. */
  tried: z.array(TriedPlanner).optional(),
});

const endpoint = <const E extends Endpoint>(row: E): E => row;

export const endpoints = {
  health: endpoint({
    method: 'GET',
    path: '/healthz',
    summary: 'Answers while the daemon lives',
    answer: 'json',
    changes: false,
    roles: 'anyone',
    response: z.strictObject({ ok: z.boolean() }),
  }),
  ready: endpoint({
    method: 'GET',
    path: '/readyz',
    summary: 'Answers 200 when runs are accepted, 503 with the reason when not',
    answer: 'json',
    changes: false,
    roles: 'anyone',
    response: z.strictObject({ ok: z.boolean() }),
  }),
  version: endpoint({
    method: 'GET',
    path: '/version',
    summary: 'Product, API and runtime versions',
    answer: 'json',
    changes: false,
    roles: 'anyone',
    response: Version,
  }),
  openapi: endpoint({
    method: 'GET',
    path: '/openapi.json',
    summary: 'This description, OpenAPI 3.1',
    answer: 'json',
    changes: false,
    roles: 'anyone',
  }),
  doctor: endpoint({
    method: 'GET',
    path: '/v1/doctor',
    summary: 'What the daemon runs on, and the remedy for what is missing',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: z.strictObject({ checks: z.array(Check) }),
  }),
  config: endpoint({
    method: 'GET',
    path: '/v1/config',
    summary: 'The settings in force and where each came from',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: z.strictObject({
      settings: z.array(
        z.strictObject({ name: z.string(), value: z.string(), origin: z.string() }),
      ),
    }),
  }),
  whoAmI: endpoint({
    method: 'GET',
    path: '/v1/whoami',
    summary: 'Who is calling, by which proof, with which roles, and what is left of his quotas',
    answer: 'json',
    changes: false,
    roles: 'anyone',
    response: WhoAmI,
  }),
  usage: endpoint({
    method: 'GET',
    path: '/v1/usage',
    summary: 'Who used how much today, and holds how much of the disk',
    answer: 'json',
    changes: false,
    roles: ['auditor'],
    query: UsageQuery,
    response: z.strictObject({ items: z.array(UsageRow) }),
  }),
  snapshotFind: endpoint({
    method: 'GET',
    path: '/v1/snapshots/:digest',
    summary: 'Whether a snapshot is there',
    answer: 'json',
    changes: false,
    roles: ['runner'],
    response: SnapshotInfo,
  }),
  snapshotMissing: endpoint({
    method: 'POST',
    path: '/v1/snapshots/missing',
    summary: 'Which of these blobs the daemon lacks',
    answer: 'json',
    changes: false,
    roles: ['runner'],
    body: MissingRequest,
    response: MissingAnswer,
  }),
  snapshotPut: endpoint({
    method: 'POST',
    path: '/v1/snapshots',
    summary: 'Uploads a snapshot as one framed stream (contract/snapshot.ts)',
    answer: 'json',
    changes: true,
    roles: ['runner'],
    bodyType: 'application/vnd.orchestra.snapshot',
    response: SnapshotAnswer,
  }),
  planMake: endpoint({
    method: 'POST',
    path: '/v1/plans',
    summary: 'Plans and validates, runs nothing',
    answer: 'json',
    changes: true,
    roles: ['runner'],
    body: SubmitRun,
    response: PlanAnswer,
  }),
  runSubmit: endpoint({
    method: 'POST',
    path: '/v1/runs',
    summary: 'Submits a run; answers at once, the events tell the rest',
    answer: 'json',
    changes: true,
    roles: ['runner'],
    body: SubmitRun,
    response: z.strictObject({ id: RunId }),
  }),
  runList: endpoint({
    method: 'GET',
    path: '/v1/runs',
    summary: 'Runs, newest first',
    answer: 'json',
    changes: false,
    roles: readers,
    query: z.object({ ...Page, cursor: RunId.optional(), state: z.string().max(32).optional() }),
    response: z.strictObject({ items: z.array(RunRow), next_cursor: RunId.optional() }),
  }),
  runShow: endpoint({
    method: 'GET',
    path: '/v1/runs/:id',
    summary: 'One run; `:id` may be a unique prefix, @last or @last-failed',
    answer: 'json',
    changes: false,
    roles: readers,
    response: RunView,
  }),
  runEvents: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/events',
    summary:
      'Every record of a run, history then live; resumes after Last-Event-ID; ends with the run',
    answer: 'events',
    changes: false,
    roles: readers,
  }),
  runCancel: endpoint({
    method: 'POST',
    path: '/v1/runs/:id/cancel',
    summary: 'Cancels a run',
    answer: 'json',
    changes: true,
    roles: ['runner'],
    body: CancelRun,
    response: z.strictObject({ id: RunId }),
  }),
  runContinue: endpoint({
    method: 'POST',
    path: '/v1/runs/:id/continue',
    summary: 'Goes on from a run that ended or is paused; `dryRun` answers what would run',
    answer: 'json',
    changes: true,
    roles: ['runner'],
    body: ContinueRun,
    response: ContinueAnswer,
  }),
  runImport: endpoint({
    method: 'POST',
    path: '/v1/runs/import',
    summary: 'Goes on from a checkpoint of another daemon',
    answer: 'json',
    changes: true,
    roles: ['runner'],
    body: ImportRun,
    response: ContinueAnswer,
  }),
  runPause: endpoint({
    method: 'POST',
    path: '/v1/runs/:id/pause',
    summary: 'Starts nothing new of a run; with `freeze` what runs stands still',
    answer: 'json',
    changes: true,
    roles: ['runner'],
    body: PauseRun,
    response: z.strictObject({ id: RunId }),
  }),
  requestList: endpoint({
    method: 'GET',
    path: '/v1/requests',
    summary: 'What people are asked: approvals and questions, newest first',
    answer: 'json',
    changes: false,
    roles: readers,
    query: RequestQuery,
    response: z.strictObject({ items: z.array(RequestRow) }),
  }),
  requestShow: endpoint({
    method: 'GET',
    path: '/v1/requests/:id',
    summary: 'One request with the exact text that is approved or asked',
    answer: 'json',
    changes: false,
    roles: readers,
    response: RequestView,
  }),
  requestAnswer: endpoint({
    method: 'POST',
    path: '/v1/requests/:id/answer',
    summary: 'Approves, denies or answers; `digest` names what was shown',
    answer: 'json',
    changes: true,
    roles: ['runner', 'approver'],
    body: AnswerRequest,
    response: RequestRow,
  }),
  runPlan: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/plan',
    summary: 'The plan that was accepted, canonical JSON',
    answer: 'bytes',
    changes: false,
    roles: readers,
  }),
  runCheckpoint: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/checkpoint',
    summary: "The run's newest checkpoint",
    answer: 'json',
    changes: false,
    roles: readers,
    response: RunCheckpoint,
  }),
  runReport: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/report',
    summary: 'The report as Markdown',
    answer: 'bytes',
    changes: false,
    roles: readers,
  }),
  runProvenance: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/provenance',
    summary:
      'How the artifacts of a closed run came to be: signed SLSA provenance, of all or of `artifact`',
    answer: 'json',
    changes: true,
    roles: readers,
    query: z.object({ artifact: z.string().min(1).max(128).optional() }),
    response: ProvenanceAnswer,
  }),
  provenanceKey: endpoint({
    method: 'GET',
    path: '/v1/provenance/key',
    summary: 'The key that provenance is signed with',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: ProvenanceKey,
  }),
  taskLog: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/tasks/:task/log',
    summary:
      'What a task wrote, as output chunks or as the frames that are kept (contract/output-frames.ts); `follow` waits for more until the task ends',
    answer: 'ndjson',
    also: framesType,
    changes: false,
    roles: readers,
    query: z.object({ follow: z.stringbool().default(false) }),
  }),
  taskReceipt: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/tasks/:task/receipt',
    summary: "The receipt of a task's sandbox, with the rule behind each setting",
    answer: 'json',
    changes: false,
    roles: readers,
    query: z.object({ attempt: z.coerce.number().int().min(1).max(1_000_000).optional() }),
    response: TaskReceipt,
  }),
  artifactList: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/artifacts',
    summary: 'Declared outputs that were collected',
    answer: 'json',
    changes: false,
    roles: readers,
    response: z.strictObject({ items: z.array(Artifact) }),
  }),
  artifactGet: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/artifacts/:task/:name',
    summary: 'One artifact: the file itself, a directory as tar',
    answer: 'bytes',
    changes: true,
    roles: readers,
  }),
  runChanges: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/changes',
    summary: 'What the run changed against its snapshot',
    answer: 'json',
    changes: false,
    roles: readers,
    response: ChangeSet,
  }),
  runBlob: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/blobs/:digest',
    summary: 'The content of one changed file, or of the file it replaced',
    answer: 'bytes',
    changes: false,
    roles: readers,
  }),
  auditList: endpoint({
    method: 'GET',
    path: '/v1/audit/records',
    summary: 'Records by filter, oldest first; `last` gives the newest N, `order` the newest first',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    query: AuditQuery,
    response: AuditPage,
  }),
  auditShow: endpoint({
    method: 'GET',
    path: '/v1/audit/records/:seq',
    summary:
      'One record, re-hashed from its segment, with its line and the proof that it is covered',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    response: AuditShown,
  }),
  auditFollow: endpoint({
    method: 'GET',
    path: '/v1/audit/follow',
    summary: 'Records from a sequence number on that the filter meets, live',
    answer: 'events',
    changes: true,
    roles: ['auditor'],
    query: AuditFollow,
  }),
  auditStats: endpoint({
    method: 'GET',
    path: '/v1/audit/stats',
    summary: 'How many records there are by type, outcome, severity, actor and day',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    query: AuditStatsQuery,
    response: AuditStats,
  }),
  auditExtract: endpoint({
    method: 'GET',
    path: '/v1/runs/:id/extract',
    summary:
      'Every record of a run with the proof that it is in the log, as a tar that can be checked elsewhere',
    answer: 'bytes',
    changes: true,
    roles: readers,
  }),
  auditExport: endpoint({
    method: 'GET',
    path: '/v1/audit/export',
    summary:
      'Records by filter as JSONL, CSV, syslog, CEF or OCSF, on record before the first byte',
    answer: 'bytes',
    changes: true,
    roles: ['auditor'],
    query: AuditExportQuery,
  }),
  auditForwarders: endpoint({
    method: 'GET',
    path: '/v1/audit/forwarders',
    summary: 'Where the forwarders of the configuration stand',
    answer: 'json',
    changes: false,
    roles: ['auditor'],
    response: z.strictObject({ items: z.array(ForwarderStatus) }),
  }),
  auditHead: endpoint({
    method: 'GET',
    path: '/v1/audit/head',
    summary: 'How many records there are and the hash of the last, and of record `seq`',
    answer: 'json',
    changes: false,
    roles: 'anyone',
    query: z.object({ seq: Count.optional() }),
    response: z.strictObject({
      size: z.number().int(),
      hash: z.string(),
      origin: z.string(),
      at: z.string().optional(),
    }),
  }),
  auditDisclose: endpoint({
    method: 'POST',
    path: '/v1/audit/records/:seq/disclose',
    summary:
      'What the commitment in a record stands for, with its salt; that it was told is recorded',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    body: DiscloseData,
    response: Disclosure,
  }),
  auditSubjects: endpoint({
    method: 'GET',
    path: '/v1/audit/subjects',
    summary: 'Whom the subjects of the vault stand for; that it was asked is recorded',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    response: z.strictObject({ items: z.array(SubjectRow) }),
  }),
  auditErase: endpoint({
    method: 'POST',
    path: '/v1/audit/subjects/:subject/erase',
    summary: 'Destroys the key of a subject: nothing the vault holds of it can be read again',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    body: EraseSubject,
    response: z.strictObject({ subject: SubjectId }),
  }),
  auditVerify: endpoint({
    method: 'POST',
    path: '/v1/audit/verify',
    summary: 'Verifies the whole log on disk, against what the caller kept of it',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    body: VerifyLog,
    response: Verdict,
  }),
  auditCheckpoint: endpoint({
    method: 'GET',
    path: '/v1/audit/checkpoint',
    summary: 'The newest signed checkpoint, and that it continues one that the caller knows',
    answer: 'json',
    changes: false,
    roles: 'anyone',
    query: CheckpointQuery,
    response: CheckpointAnswer,
  }),
  auditProof: endpoint({
    method: 'GET',
    path: '/v1/audit/records/:seq/proof',
    summary: 'That a record is in the signed log: a C2SP tlog-proof',
    answer: 'bytes',
    changes: false,
    roles: everyRole,
  }),
  auditTiles: endpoint({
    method: 'GET',
    path: '/v1/audit/tiles',
    summary: 'The signed log in the layout of C2SP tlog-tiles, as a tar',
    answer: 'bytes',
    changes: true,
    roles: ['auditor'],
  }),
  auditKeys: endpoint({
    method: 'GET',
    path: '/v1/audit/keys',
    summary: 'The keys that sign the log, by epoch',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: KeysAnswer,
  }),
  auditKeysRotate: endpoint({
    method: 'POST',
    path: '/v1/audit/keys/rotate',
    summary: 'A new key signs the log from now on; the old one is destroyed',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    response: KeysAnswer,
  }),
  auditWitnesses: endpoint({
    method: 'GET',
    path: '/v1/audit/witnesses',
    summary: 'How much of the log the anchors and witnesses hold',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: AnchoringView,
  }),
  auditAnchor: endpoint({
    method: 'POST',
    path: '/v1/audit/anchor',
    summary: 'Signs what is there and gives it to every anchor and witness now',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    body: AnchorNow,
    response: AnchoringView,
  }),
  auditEvidence: endpoint({
    method: 'GET',
    path: '/v1/audit/evidence',
    summary: 'Counts, lists and proofs of a time for whoever examines it, as a signed tar',
    answer: 'bytes',
    changes: true,
    roles: ['auditor'],
    query: EvidenceQuery,
  }),
  auditPrune: endpoint({
    method: 'POST',
    path: '/v1/audit/prune',
    summary: 'Lets the oldest whole segments of the log go, by a signed record that says so',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    body: PruneLog,
    response: LogPruneAnswer,
  }),
  auditHolds: endpoint({
    method: 'GET',
    path: '/v1/audit/holds',
    summary: 'What is not pruned, whatever its age',
    answer: 'json',
    changes: false,
    roles: ['auditor'],
    response: HoldList,
  }),
  auditHoldSet: endpoint({
    method: 'POST',
    path: '/v1/audit/holds',
    summary: 'Keeps the log, or what was recorded in a time, from being pruned',
    answer: 'json',
    changes: true,
    roles: ['auditor'],
    body: SetHold,
    response: HoldList,
  }),
  auditHoldClear: endpoint({
    method: 'POST',
    path: '/v1/audit/holds/clear',
    summary: 'Takes a hold back',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    body: ClearHold,
    response: HoldList,
  }),
  storePrune: endpoint({
    method: 'POST',
    path: '/v1/store/prune',
    summary: 'Removes what only runs need that are no longer kept; never the log',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    body: PruneStore,
    response: PruneAnswer,
  }),
  attest: endpoint({
    method: 'POST',
    path: '/v1/attestations',
    summary: 'Signs files by their digests, bound to this installation and its log',
    answer: 'json',
    changes: true,
    roles: ['runner', 'auditor'],
    body: AttestFiles,
    response: Attestation,
  }),
  policyList: endpoint({
    method: 'GET',
    path: '/v1/policies',
    summary: 'The policies that the daemon has loaded',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: z.strictObject({
      items: z.array(
        z.strictObject({
          name: z.string(),
          digest: Digest,
          source: z.string(),
          ceiling: z.boolean(),
        }),
      ),
    }),
  }),
  policyShow: endpoint({
    method: 'GET',
    path: '/v1/policies/:name',
    summary: 'One policy as it applies, narrowed by the ceiling',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: z.strictObject({
      name: z.string(),
      digest: Digest,
      source: z.string(),
      text: z.string(),
      effective: z.looseObject({}),
      narrowed: z.array(z.string()),
    }),
  }),
  toolList: endpoint({
    method: 'GET',
    path: '/v1/tools',
    summary:
      'The programs of the sandbox image, measured, and how they stand on the list of a user',
    answer: 'json',
    changes: false,
    roles: everyRole,
    query: ToolsQuery,
    response: ToolsAnswer,
  }),
  toolLists: endpoint({
    method: 'GET',
    path: '/v1/tools/lists',
    summary: 'What users may have in a task unasked; their own, of others for who may read them',
    answer: 'json',
    changes: false,
    roles: everyRole,
    query: ToolsQuery,
    response: ToolLists,
  }),
  toolWithdraw: endpoint({
    method: 'POST',
    path: '/v1/tools/withdraw',
    summary: 'Takes a program off a list: it is asked for the next time',
    answer: 'json',
    changes: true,
    roles: ['runner', 'approver'],
    body: WithdrawTool,
    response: z.strictObject({ uid: z.number().int(), name: z.string() }),
  }),
  secretList: endpoint({
    method: 'GET',
    path: '/v1/secrets',
    summary: 'Names of the secrets that the daemon holds; no call ever answers a value',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: z.strictObject({
      writable: z.boolean(),
      items: z.array(z.strictObject({ name: SecretName, bytes: Count, set_at: z.string() })),
    }),
  }),
  secretSet: endpoint({
    method: 'POST',
    path: '/v1/secrets/:name',
    summary: 'Sets or replaces a secret; the body is its value, byte for byte',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    bodyType: 'application/octet-stream',
    response: z.strictObject({ name: SecretName, bytes: Count }),
  }),
  secretRemove: endpoint({
    method: 'POST',
    path: '/v1/secrets/:name/remove',
    summary: 'Removes a secret',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    response: z.strictObject({ name: SecretName }),
  }),
  tokenList: endpoint({
    method: 'GET',
    path: '/v1/tokens',
    summary: "The caller's tokens, newest first; those of everybody for admin and auditor",
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: z.strictObject({ items: z.array(TokenRow) }),
  }),
  tokenCreate: endpoint({
    method: 'POST',
    path: '/v1/tokens',
    summary: 'Makes a token for the network; the answer has it, and nothing ever tells it again',
    answer: 'json',
    changes: true,
    roles: everyRole,
    body: CreateToken,
    response: CreatedToken,
  }),
  tokenRevoke: endpoint({
    method: 'POST',
    path: '/v1/tokens/:id/revoke',
    summary: 'Takes a token back; what is open with it ends',
    answer: 'json',
    changes: true,
    roles: everyRole,
    body: RevokeToken,
    response: TokenRow,
  }),
  imageList: endpoint({
    method: 'GET',
    path: '/v1/images',
    summary: 'Images that policies allow, with the digest each is pinned to',
    answer: 'json',
    changes: false,
    roles: everyRole,
    response: z.strictObject({
      items: z.array(
        z.strictObject({
          reference: z.string(),
          pinned: Digest.optional(),
          present: Digest.optional(),
          origin: z.string().optional(),
        }),
      ),
    }),
  }),
  imagePin: endpoint({
    method: 'POST',
    path: '/v1/images/pin',
    summary: 'Pins a reference to the digest that the engine has now',
    answer: 'json',
    changes: true,
    roles: ['admin'],
    body: z.strictObject({ reference: z.string().min(1).max(256) }),
    response: z.strictObject({ reference: z.string(), id: Digest }),
  }),
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;
