import { hash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { endpoints, type Endpoint, type EndpointName } from '#contract/api.ts';
import type { AuditStats } from '#contract/audit.ts';
import { errorTable, type ErrorCode } from '#contract/errors.ts';
import type { TaskReceipt } from '#contract/explain.ts';
import { framesType } from '#contract/output-frames.ts';
import type { LogRecord } from '#contract/records.ts';
import type { RunView, TaskView } from '#contract/run.ts';
import { sampleEvidence } from './sample-evidence.ts';
import { sampleExtract, sampleProof } from './sample-extract.ts';
import { sampleTiles } from './sample-tiles.ts';

export type Asked = {
  name: EndpointName;
  params: Record<string, string>;
  query: Record<string, string>;
  body: unknown;
  lastEventId: string | undefined;
  accept: string | undefined;
};
export type Answer =
  | { json: unknown }
  | { lines: readonly unknown[]; cut?: boolean }
  | { bytes: Uint8Array | string }
  /** Output as it is kept; `cut` breaks the connection off after it. */
  | { frames: Uint8Array; cut?: boolean }
  /** Ends after the last one; `cut` breaks the connection off instead. */
  | { records: readonly LogRecord[]; cut?: boolean }
  | { records: AsyncIterable<LogRecord> }
  | { problem: ErrorCode; detail?: string };
type Answering = (asked: Asked) => Answer | Promise<Answer>;

/** Something on a socket that answers by the endpoint table, from what a test told it. */
export class FakeDaemon implements AsyncDisposable {
  readonly socketPath: string;
  readonly asked: Asked[] = [];
  readonly #dir: string;
  readonly #server: Server;
  readonly #answers = new Map<EndpointName, Answering>();
  #refusal: ErrorCode | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
    this.socketPath = path.join(dir, 'fake.sock');
    this.#server = createServer((request, response) => {
      void this.#handle(request, response);
    });
  }

  static async open(): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(await mkdtemp(path.join(tmpdir(), 'fake-')));
    await new Promise<void>((resolve) => daemon.#server.listen(daemon.socketPath, resolve));
    return daemon;
  }

  get host(): string {
    return `unix://${this.socketPath}`;
  }

  answer(name: EndpointName, answering: Answering | Answer): this {
    this.#answers.set(name, typeof answering === 'function' ? answering : () => answering);
    return this;
  }

  /** Everything is refused with this from now on. */
  refuseAll(code: ErrorCode): this {
    this.#refusal = code;
    return this;
  }

  namesAsked(): EndpointName[] {
    return this.asked.map((each) => each.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://orchestra');
    const found = match(request.method ?? '', url.pathname);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (found === undefined) {
      await send(response, { problem: 'route.unknown' });
      return;
    }
    const isJson = request.headers['content-type'] === 'application/json';
    const whole = Buffer.concat(chunks);
    const asked: Asked = {
      ...found,
      query: Object.fromEntries(url.searchParams),
      body: isJson ? JSON.parse(whole.toString()) : whole,
      lastEventId: request.headers['last-event-id'] as string | undefined,
      accept: request.headers.accept,
    };
    // Every command asks first, and most tests are about something else: a daemon that signs nothing.
    const isFirst = found.name === 'auditCheckpoint' && !this.#answers.has(found.name);
    if (isFirst && this.#refusal === undefined) {
      await send(response, { problem: 'audit.unsigned' });
      return;
    }
    this.asked.push(asked);
    const answering = this.#answers.get(found.name);
    const answer: Answer =
      this.#refusal !== undefined
        ? { problem: this.#refusal }
        : ((await answering?.(asked)) ?? {
            problem: 'internal.bug',
            detail: `${found.name}: no answer`,
          });
    await send(response, answer);
  }
}

function match(
  method: string,
  pathname: string,
): { name: EndpointName; params: Record<string, string> } | undefined {
  const parts = pathname.split('/').map(decodeURIComponent);
  for (const [name, row] of Object.entries(endpoints) as [EndpointName, Endpoint][]) {
    const wanted = row.path.split('/');
    if (row.method !== method || wanted.length !== parts.length) continue;
    const fits = wanted.every((part, at) => part.startsWith(':') || part === parts[at]);
    // `/v1/snapshots/missing` also fits `/v1/snapshots/:digest`, which is a GET.
    if (!fits) continue;
    const params = wanted.flatMap((part, at): [string, string][] =>
      part.startsWith(':') ? [[part.slice(1), parts[at] ?? '']] : [],
    );
    return { name, params: Object.fromEntries(params) };
  }
  return undefined;
}

async function send(response: ServerResponse, answer: Answer): Promise<void> {
  if ('problem' in answer) {
    const { status, exit } = errorTable[answer.problem];
    const detail = answer.detail ?? `refused with ${answer.problem}`;
    response.writeHead(status, { 'content-type': 'application/problem+json' }).end(
      JSON.stringify({
        type: 'about:blank',
        title: answer.problem,
        status,
        detail,
        code: answer.problem,
        exit_code: exit,
      }),
    );
  } else if ('json' in answer) {
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify(answer.json));
  } else if ('lines' in answer) {
    response.writeHead(200).write(answer.lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    if (answer.cut === true) setTimeout(() => response.destroy(), 20);
    else response.end();
  } else if ('frames' in answer) {
    response.writeHead(200, { 'content-type': framesType }).write(answer.frames);
    if (answer.cut === true) setTimeout(() => response.destroy(), 20);
    else response.end();
  } else if ('bytes' in answer) {
    response.writeHead(200).end(answer.bytes);
  } else {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    for await (const record of answer.records) {
      response.write(`id: ${record.seq}\nevent: record\ndata: ${JSON.stringify(record)}\n\n`);
    }
    if ('cut' in answer && answer.cut) setTimeout(() => response.destroy(), 20);
    else response.end();
  }
}

const subject = 'subj_0123456789abcdef';
const envelope = {
  payloadType: 'application/vnd.in-toto+json',
  payload: 'e30=',
  signatures: [{ keyid: `sha256:${'6'.repeat(64)}`, sig: 'e30=' }],
  publicKey: 'e30=',
};
export const digest = `sha256:${'a'.repeat(64)}`;
export const runId = 'r-0123456789';

const anchoringView = {
  records: 14,
  signed: 14,
  anchored: 12,
  unanchored: { records: 2, ageMs: 60_000 },
  quorum: { need: 1, of: 1, size: 12 },
  targets: [
    {
      kind: 'witness',
      name: 'w1',
      size: 12,
      at: '2026-01-01T00:00:00.000Z',
      state: 'idle',
      failures: 0,
    },
  ],
} as const;

/** A record of a run, linked to the one before it as the log does it. */
export function chained(
  records: readonly Pick<LogRecord, 'type' | 'data' | 'obj'>[],
  run: string = runId,
): LogRecord[] {
  const out: LogRecord[] = [];
  let rprev = '0'.repeat(64);
  for (const [at, { type, data, obj }] of records.entries()) {
    const record: LogRecord = {
      actor: { auth: 'peer', kind: 'user', uid: 1000 },
      boot: 'boot',
      data: type === 'run.closed' ? { ...data, records: at + 1 } : data,
      mono: at,
      ...(obj === undefined ? {} : { obj }),
      outcome: 'ok',
      prev: '0'.repeat(64),
      rprev,
      rseq: at,
      run,
      seq: 10 + at,
      sev: 'info',
      stage: 'note',
      ts: '2026-01-01T00:00:00.000Z',
      type,
      v: 1,
    };
    out.push(record);
    rprev = leafOf(record);
  }
  return out;
}

/** What the log has for the hash of a record. */
export function leafOf(record: LogRecord): string {
  return hash('sha256', `\0${lineOf(record)}`, 'hex');
}

/** The line that the log has of a record. */
export function lineOf(record: LogRecord): string {
  return JSON.stringify(sorted(record));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}

export function taskView(changes: Partial<TaskView> = {}): TaskView {
  return {
    id: 'build',
    title: 'Build it',
    tool: 'npm',
    state: 'succeeded',
    deps: [],
    attempt: 1,
    outputTruncated: false,
    artifacts: [],
    ...changes,
  };
}

export function runView(changes: Partial<RunView> = {}): RunView {
  return {
    id: runId,
    state: 'succeeded',
    intent: 'Build and test',
    workspace: 'project',
    snapshot: digest,
    policy: { name: 'default', digest },
    plan: digest,
    submittedBy: 'uid:1000',
    submittedAt: '2026-01-01T00:00:00.000Z',
    durationMs: 1234,
    exitCode: 0,
    reasons: [],
    tasks: [taskView({ durationMs: 1000, exitCode: 0, output: digest })],
    checkpoint: digest,
    audit: { first: 10, last: 13, records: 4 },
    ...changes,
  };
}

const tally = [{ name: 'task.finished', records: 14, bytes: 9_000 }];
const auditStats: AuditStats = {
  origin: 'log-1',
  records: 14,
  bytes: 9_000,
  first_at: '2026-01-01T00:00:00.000Z',
  last_at: '2026-01-01T05:00:00.000Z',
  types: tally,
  outcomes: tally,
  severities: tally,
  actors: tally,
  days: tally,
  runs: { submitted: 1, closed: 1, open: 0 },
  hours: {
    all: 6,
    covered: 5,
    heartbeats: 2,
    longest_gap: 1,
    gap_from: '2026-01-01T03:00:00.000Z',
  },
  size: { index: 14, log: 14 },
};

/** A receipt with one setting, as `explain` is answered. */
export function taskReceipt(changes: Partial<TaskReceipt> = {}): TaskReceipt {
  return {
    run: runId,
    task: 'build',
    attempt: 1,
    state: 'succeeded',
    policy: { name: 'default', digest },
    settings: [
      {
        name: 'limits.memory',
        requested: '1 GiB',
        effective: '1 GiB, no swap',
        decidedBy: ['rule limits', 'policy default: limits.memory'],
        change: '`limits.memory` of policy default',
      },
    ],
    reasons: [],
    hints: [],
    ...changes,
  };
}

export function recordsOf(outcome: string, exitCode: number): LogRecord[] {
  return chained([
    { type: 'run.submitted', data: {} },
    { type: 'task.started', data: { attempt: 1 }, obj: { task: 'build' } },
    { type: 'task.finished', data: { attempt: 1 }, obj: { task: 'build' } },
    { type: 'run.closed', data: { outcome, exit_code: exitCode } },
  ]);
}

/** A daemon with one run that is over, and a sensible answer to everything. */
export async function daemonWithRun(view: RunView = runView()): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.open();
  const hash = 'b'.repeat(64);
  const records = recordsOf(view.state, view.exitCode ?? 0);
  const snapshot = { digest, files: 1, bytes: 1 };
  const artifact = {
    name: 'dist',
    task: 'build',
    path: 'dist/out.txt',
    sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    bytes: 5,
    kind: 'file',
  };
  const row = { record: records[0], hash: records[0] && leafOf(records[0]) };
  return daemon
    .answer('health', { json: { ok: true } })
    .answer('version', {
      json: { product: 'orchestrad', version: '0.1.0', api: 'v1', node: 'v24' },
    })
    .answer('doctor', { json: { checks: [{ name: 'engine', status: 'ok', message: 'docker' }] } })
    .answer('whoAmI', {
      json: {
        auth: 'peer',
        uid: 1000,
        user: 'ada',
        groups: ['ada', 'orchestra'],
        roles: [{ role: 'runner', by: 'access.runner: group:orchestra' }],
        quotas: [
          { quota: 'runs_per_day', used: 3, allowed: 20, by: 'quotas.default' },
          { quota: 'disk', used: 5 },
        ],
      },
    })
    .answer('usage', {
      json: {
        items: [
          {
            owner: 'uid:1000',
            user: 'ada',
            day: '2026-05-01',
            open_runs: 1,
            runs: 3,
            tasks: 9,
            cpu_ms: 90_000,
            disk_bytes: 1024,
            quotas: [{ quota: 'runs_per_day', used: 3, allowed: 20, by: 'quotas.default' }],
          },
        ],
      },
    })
    .answer('config', { json: { settings: [{ name: 'socket', value: '/s', origin: 'default' }] } })
    .answer('snapshotFind', { json: snapshot })
    .answer('snapshotMissing', { json: { missing: [] } })
    .answer('snapshotPut', ({ body }) => ({
      json: { ...snapshot, digests: digestsFor(body as Buffer), leftOut: [] },
    }))
    .answer('planMake', {
      json: {
        digest,
        plan: {
          version: 1,
          tasks: [{ id: 'build', tool: 'npm', command: ['npm', 'run', 'build'], deps: [] }],
        },
        clamped: [],
        summary: [],
        forecast: { tasks: [], cached: 0 },
      },
    })
    .answer('runSubmit', { json: { id: view.id } })
    .answer('runList', {
      json: {
        items: [
          {
            id: view.id,
            state: view.state,
            intent: view.intent,
            submittedBy: view.submittedBy,
            submittedAt: view.submittedAt,
            tasks: { total: 1, succeeded: 1, failed: 0, cached: 0 },
          },
        ],
      },
    })
    .answer('runShow', { json: view })
    .answer('runEvents', { records })
    .answer('runCancel', { json: { id: view.id } })
    .answer('runContinue', ({ body }) => goneOn(body as { dryRun?: boolean }, view.id))
    .answer('runImport', ({ body }) => goneOn(body as { dryRun?: boolean }, view.id))
    .answer('runPause', { json: { id: view.id } })
    .answer('runRate', { json: { id: view.id, up: 1, down: 0 } })
    .answer('learnedShow', { json: { version: 1, families: [], shapes: [] } })
    .answer('learnedForget', { json: { beforeSeq: 10 } })
    .answer('runPlan', { bytes: '{"version":1,"tasks":[]}' })
    .answer('runCheckpoint', { json: checkpointOf(view) })
    .answer('runReport', { bytes: '# Report\n' })
    .answer('taskLog', {
      lines: [
        { t: 0, s: 1, d: 'out\n' },
        { t: 1, s: 2, d: 'err\n' },
      ],
    })
    .answer('taskReceipt', { json: taskReceipt() })
    .answer('artifactList', { json: { items: [artifact] } })
    .answer('artifactGet', { bytes: 'hello' })
    .answer('runChanges', { json: { snapshot: digest, items: [] } })
    .answer('runBlob', { bytes: 'text\n' })
    .answer('auditList', { json: { items: [row] } })
    .answer('auditShow', { json: row })
    .answer('auditSubjects', { json: { items: [{ subject, uid: 1000, name: 'ada' }] } })
    .answer('auditErase', { json: { subject } })
    .answer('auditDisclose', {
      json: {
        format: 'orchestra-disclosure/1',
        origin: 'log-1',
        seq: 10,
        field: 'intent',
        commitment: '4'.repeat(64),
        salt: '5'.repeat(64),
        value: 'Build and test',
        subject,
      },
    })
    .answer('runProvenance', { json: { run: runId, bundle: digest, envelopes: [envelope] } })
    .answer('auditFollow', { records })
    .answer('auditExtract', async () => ({ bytes: (await sampleExtract(view.id)).tar }))
    .answer('auditProof', () => ({ bytes: sampleProof(records[0]!, lineOf(records[0]!)) }))
    .answer('auditStats', { json: auditStats })
    .answer('auditEvidence', async () => ({ bytes: await sampleEvidence() }))
    .answer('auditPrune', ({ body }) => ({
      json: {
        dryRun: (body as { dryRun: boolean }).dryRun,
        keepDays: 400,
        from: 0,
        to: 0,
        segments: 0,
        bytes: 0,
      },
    }))
    .answer('auditHolds', { json: { items: [] } })
    .answer('auditHoldSet', { json: { items: [] } })
    .answer('auditHoldClear', { json: { items: [] } })
    .answer('auditExport', { bytes: 'seq\r\n' })
    .answer('auditForwarders', { json: { items: [] } })
    .answer('auditHead', { json: { size: 14, hash, origin: 'log-1' } })
    .answer('auditKeys', { json: { origin: 'log-1', keys: [] } })
    .answer('auditKeysRotate', { json: { origin: 'log-1', keys: [] } })
    .answer('auditTiles', async () => ({ bytes: await sampleTiles(14) }))
    .answer('auditWitnesses', { json: anchoringView })
    .answer('auditAnchor', { json: anchoringView })
    .answer('auditVerify', { json: { exit_code: 0, verdict: 'verified', records: 14 } })
    .answer('policyList', {
      json: {
        items: [{ name: 'default', digest, source: 'policies/default.yaml', ceiling: true }],
      },
    })
    .answer('policyExplain', {
      json: { run: runId, policy: { name: 'default', digest }, documents: [], tasks: [], total: 0 },
    })
    .answer('policyTest', {
      json: {
        policy: { name: 'default', digest },
        cases: [],
        passed: 0,
        failed: 0,
        coverage: { rules: [], covered: 0, total: 0, percent: 100, profiles: [] },
      },
    })
    .answer('policyDiff', {
      json: {
        before: { name: 'default', digest },
        after: { name: 'default', digest },
        changes: [],
        opened: [],
        closed: [],
        altered: [],
        tried: 1,
        exhaustive: true,
      },
    })
    .answer('policyDryRun', {
      json: {
        policy: { name: 'default', digest },
        runs: 0,
        tasks: 0,
        same: 0,
        changed: [],
        changed_total: 0,
        denied: 0,
        asked: 0,
        allowed: 0,
        by_rule: [],
        unknown: [],
      },
    })
    .answer('policyReload', {
      json: {
        loaded: 1,
        changed: [{ name: 'default', digest, changes: ['limits.memory: changed'] }],
      },
    })
    .answer('policyShow', {
      json: {
        name: 'default',
        digest,
        source: 'policies/default.yaml',
        text: 'version: 1\n',
        effective: {},
        narrowed: [],
      },
    })
    .answer('toolList', {
      json: {
        uid: 1000,
        growth: 'ask',
        image: { reference: 'node:20-alpine', id: `sha256:${'1'.repeat(64)}` },
        measured: {
          at: '2026-01-01T00:00:00.000Z',
          list: `sha256:${'2'.repeat(64)}`,
          left_out: 0,
          wrong: [],
        },
        items: [
          {
            name: 'node',
            path: '/usr/local/bin/node',
            binary: `sha256:${'3'.repeat(64)}`,
            version: '20.0.0',
            standing: 'new',
          },
        ],
      },
    })
    .answer('toolLists', { json: { lists: [] } })
    .answer('toolWithdraw', { json: { uid: 1000, name: 'node' } })
    .answer('secretList', { json: { writable: true, items: [] } })
    .answer('tokenList', { json: { items: [sampleToken] } })
    .answer('tokenCreate', { json: { ...sampleToken, token: 'orc_of-a-test' } })
    .answer('tokenRevoke', { json: { ...sampleToken, state: 'revoked' } })
    .answer('secretSet', { json: { name: 'TOKEN', bytes: 19 } })
    .answer('secretRemove', { json: { name: 'TOKEN' } })
    .answer('storePrune', {
      json: { dryRun: false, kept: 1, dropped: 0, runs: [], removed: [], bytes: 0 },
    })
    .answer('imageList', { json: { items: [] } })
    .answer('imagePin', { json: { reference: 'node:20-alpine', id: digest } });
}

// One digest for each file that came with its content and without a digest.
function digestsFor(body: Buffer): string[] {
  const found = body.toString('latin1').match(/\{"[^\n]*"content":true[^\n]*\}/g) ?? [];
  return found.filter((header) => !header.includes('"digest"')).map(() => digest);
}

function goneOn({ dryRun = false }: { dryRun?: boolean }, id: string): Answer {
  const answer = { kept: [], rerun: ['build'], twice: [] };
  return { json: dryRun ? answer : { id, ...answer } };
}

function checkpointOf(view: RunView): unknown {
  return {
    version: 1,
    run_id: view.id,
    checkpoint_at: view.submittedAt,
    completed_tasks: ['build'],
    pending_tasks: [],
    plan: digest,
    policy: digest,
    snapshot: digest,
    layers: {},
    outputs: {},
    state_snapshot: {},
    intent: view.intent,
    workspace: view.workspace,
    concurrency: 2,
    timeout_ms: 60_000,
    results: {},
    signature: { key: digest, public_key: 'key', sig: 'sig' },
  };
}

const sampleToken = {
  id: 't-0123456789',
  uid: 1000,
  user: 'maria',
  roles: ['runner'],
  scopes: ['runs:read'],
  state: 'active',
  created_at: '2026-01-01T00:00:00.000Z',
  expires_at: '2026-02-01T00:00:00.000Z',
};
