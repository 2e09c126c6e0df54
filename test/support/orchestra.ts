import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest, RunId } from '#contract/ids.ts';
import type { Actor, AnyRecord, RecordType } from '#contract/records.ts';
import type { SubmitRun } from '#contract/run.ts';
import { nodeDisk, type LogDisk, type LogFile } from '#daemon/audit/disk.ts';
import { Brought } from '#daemon/access/brought.ts';
import { Usage } from '#daemon/access/usage.ts';
import { openIndex, type LogIndex } from '#daemon/audit/index-db.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';
import { readConfig, type Config } from '#daemon/config.ts';
import { guardEngine } from '#daemon/engine/guard.ts';
import { labelNames } from '#daemon/engine/labels.ts';
import { Tokens } from '#daemon/access/tokens.ts';
import { openRooms, type Rooms } from '#daemon/rooms.ts';
import { ownerOf } from '#daemon/access/caller.ts';
import { Learning } from '#daemon/planner/learning/learning.ts';
import { SpentToday } from '#daemon/planner/models/spent-today.ts';
import { ImagePins } from '#daemon/runs/images.ts';
import { Attested } from '#daemon/runs/provenance/attested.ts';
import { RequestStates } from '#daemon/runs/requests/state.ts';
import { RunStates } from '#daemon/runs/state.ts';
import { Advertisements } from '#daemon/runs/tools/advertisements.ts';
import { AllowedTools } from '#daemon/runs/tools/allowed.ts';
import { FakeEngine, fakeHost, type Script } from './fake-engine.ts';
import { assertRebuilt, projection } from './projections.ts';
import { NearSigner } from './signing.ts';
import { sharedThreads } from './threads.ts';

/** What happened, in the order in which it did: a record counts from when it is durable. */
export type Moment =
  | { what: 'record'; record: AnyRecord }
  | { what: 'engine'; call: string }
  | { what: 'registry'; path: string };

/** Looks at an entry before the log does; `false` swallows it: resolved, and nothing written. */
export type Gate = (entry: AnyEntry, site: string) => boolean | Promise<boolean>;

export type OrchestraOptions = {
  stateDir?: string;
  /** An engine of an earlier daemon, with the containers that it left. */
  engine?: FakeEngine;
  programs?: Map<string, Script>;
  config?: Partial<Config>;
  policiesDir?: string;
  env?: Record<string, string>;
  gate?: Gate;
  /** Small ones make many segments of few records. */
  segmentBytes?: number;
};

export type PlanFileTask = {
  id: string;
  tool: string;
  args?: string[];
  deps?: string[];
  outputs?: { name: string; path: string; required?: boolean }[];
  limits?: Record<string, unknown>;
  timeout?: string;
  on_failure?: 'continue' | 'replan';
  secrets?: string[];
  inputs?: string[];
  side_effects?: boolean;
  locks?: string[];
  retries?: number;
};

export const user: Actor = { kind: 'user', auth: 'peer', uid: 1000, name: 'ada' };
const root = new URL('../..', import.meta.url).pathname;
const reference = 'node:20-alpine';
export const imageId: Digest = `sha256:${'1'.repeat(64)}`;

/**
 * The daemon below its edge in one process, everything of it real but the engine, which is a
 * guarded fake, and the disk's patience: nothing is synced. `programs` says what a task does.
 */
export class Orchestra implements AsyncDisposable {
  readonly fake: FakeEngine;
  readonly programs: Map<string, Script>;
  readonly stateDir: string;
  readonly moments: Moment[] = [];
  gate: Gate;
  readonly signer: NearSigner;
  rooms!: Rooms;
  #log!: Log;
  #index!: LogIndex;
  readonly #ownsDir: boolean;
  readonly #segmentBytes: number | undefined;
  readonly #disk = new HastyDisk();
  #isOpen = false;
  #blocked: OrchestraError | undefined;

  private constructor(options: OrchestraOptions) {
    this.programs = options.programs ?? new Map<string, Script>();
    this.fake =
      options.engine ??
      new FakeEngine((spec) => this.programs.get(spec.labels[labelNames.task] ?? '') ?? {});
    this.fake.images.set(reference, {
      reference,
      id: imageId,
      os: 'linux',
      arch: 'amd64',
      labels: {},
      repoDigests: [],
    });
    this.#segmentBytes = options.segmentBytes;
    this.#ownsDir = options.stateDir === undefined;
    this.stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'orchestra-rooms-'));
    this.signer = new NearSigner({ dir: join(this.stateDir, 'signer') });
    this.gate = options.gate ?? (() => true);
    this.listen();
  }

  static async open(options: OrchestraOptions = {}): Promise<Orchestra> {
    const it = new Orchestra(options);
    const uid = process.getuid?.() ?? 0;
    try {
      it.rooms = await openRooms({
        config: { ...(await plainConfig(it.stateDir)), ...options.config },
        version: '0.0.0',
        policiesDir: options.policiesDir ?? join(root, 'policies'),
        logger: pino({ level: 'silent' }),
        env: { PATH: process.env['PATH'], HOME: it.stateDir, ...options.env },
        uid,
        gid: process.getgid?.() ?? 0,
        threads: sharedThreads(),
        openSigner: () => it.signer,
        openLog: async (log) => {
          it.#log = await openLog(it.#logOptions(log));
          return it.#gated(it.#log);
        },
        openEngine: ({ log, office, floor }) =>
          guardEngine({ driver: it.fake, log, office, floor, host: fakeHost, deadlineMs: 30_000 }),
      });
    } catch (error) {
      it.#removeOwn();
      throw error;
    }
    it.#index = await openIndex({
      dir: it.rooms.auditDir,
      log: it.#log,
      file: it.#indexFile,
    });
    it.#isOpen = true;
    // Nobody waits for a polite end in a test.
    Object.assign(it.rooms.deps.sandbox, { graceMs: 20, killMs: 30_000 });
    return it;
  }

  /** From now on nothing can be written: the next record blocks the log for good. */
  breakDisk(): void {
    this.#disk.isBroken = true;
  }

  /** What a blocked log looks like from outside, to be taken back with `unblock`. */
  block(): void {
    this.#blocked = new OrchestraError('audit.unavailable', 'the log is blocked');
  }

  unblock(): void {
    this.#blocked = undefined;
  }

  get log(): Log {
    return this.rooms.deps.log;
  }

  /** Puts the engine's calls among the moments from now on. */
  listen(also: (call: string) => void | Promise<void> = () => {}): void {
    this.fake.onCall = () => {
      const call = this.fake.calls.at(-1) ?? '';
      this.moments.push({ what: 'engine', call });
      return also(call);
    };
  }

  async snapshot(files: Readonly<Record<string, string>> = { 'package.json': '{}' }) {
    const { digest } = await this.rooms.deps.workspace.snapshots.ingest(frames(files));
    return digest;
  }

  async submit(
    tasks: readonly PlanFileTask[] | string,
    { files, ...more }: Partial<SubmitRun> & { files?: Record<string, string> } = {},
  ): Promise<RunId> {
    const snapshot = await this.snapshot(files);
    const text = typeof tasks === 'string' ? tasks : JSON.stringify({ version: 1, tasks });
    const plan = tasks === '' ? {} : { plan: { text, file: 'plan.yaml' } };
    // Most tests want to see tasks run, whatever ran before them.
    const request = { intent: 'try it', snapshot, workspace: 'demo', concurrency: 1, cache: false };
    return this.rooms.runs.submit({ ...request, ...plan, ...more }, user);
  }

  async ended(run: RunId): Promise<void> {
    await this.rooms.runs.open(run)?.done;
    await this.rooms.deps.sandbox.slots.settled();
    await this.rooms.deps.provenance.settled();
  }

  /** Submits, and waits for the end. */
  async run(...request: Parameters<Orchestra['submit']>): Promise<RunId> {
    const id = await this.submit(...request);
    await this.ended(id);
    return id;
  }

  /** Everything on disk; of one run, where one is named, with the removal of its sandboxes. */
  async records(run?: RunId): Promise<AnyRecord[]> {
    const lines = await Array.fromAsync(this.log.read());
    const all = lines.map(({ record }) => record as AnyRecord);
    if (run === undefined) return all;
    const containers = new Set(
      all.flatMap((record) => (record.run === run ? [record.obj?.['container']] : [])),
    );
    const isOfRun = ({ type, obj, run: of }: AnyRecord) =>
      of === run || (type === 'container.remove' && containers.has(obj?.['container'] ?? ''));
    return all.filter(isOfRun);
  }

  /**
   * Ends in the order in which the daemon does. Whatever a test did, what was known in memory and
   * what the index says is what the log on disk says.
   */
  async stop(reason = 'test over'): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.rooms.endRuns(reason);
    await this.rooms.recordEnd();
    const { size } = this.log;
    const isBehind = this.#log.blocked !== undefined;
    if (!isBehind) await this.#index.query({ limit: 1 });
    await this.#index.close();
    await this.rooms.close();
    const { states, pins, provenance, anchoring, tools, requests, learning } = this.rooms.deps;
    const { attested } = provenance;
    const { usage, brought } = this.rooms.access;
    await assertRebuilt(
      { dir: this.rooms.auditDir, index: this.#indexFile },
      [
        projection(states, new RunStates(), (fold) => fold.all()),
        projection(pins, new ImagePins(), (fold) => fold.get(reference)),
        projection(requests.states, new RequestStates(), (fold) => fold.all()),
        projection(anchoring.ledger, anchoring.ledger.anew(), (fold) => fold.look()),
        projection(brought, new Brought(), (fold) => fold.all()),
        projection(usage, new Usage(), (fold) => [fold.day, fold.all()]),
        projection(this.rooms.tokens, new Tokens(), (fold) => fold.all()),
        projection(attested, new Attested(), (fold) => fold.all()),
        projection(this.rooms.deps.planners.spent, new SpentToday(), (fold) => fold.all()),
        projection(learning, new Learning(ownerOf), (fold) => fold.all()),
        projection(tools.allowed, new AllowedTools(), (fold) => fold.all()),
        projection(tools.advertisements, new Advertisements(), (fold) => fold.all()),
      ],
      { isBehind, size },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gate = () => true;
    await this.stop();
    this.#removeOwn();
  }

  /** Of its own: a test may open the one beside the log. */
  get #indexFile(): string {
    return join(this.stateDir, 'compared.sqlite');
  }

  #removeOwn(): void {
    if (this.#ownsDir) rmSync(this.stateDir, { recursive: true, force: true });
  }

  #logOptions(options: Parameters<typeof openLog>[0]): Parameters<typeof openLog>[0] {
    return {
      ...options,
      disk: this.#disk,
      reserveBytes: 0,
      lowWaterBytes: 0,
      segmentBytes: this.#segmentBytes,
      onRecord: (record) => {
        options.onRecord?.(record);
        this.moments.push({ what: 'record', record });
      },
    };
  }

  #gated(log: Log): Log {
    const appendAll = async (entries: readonly AnyEntry[]) => {
      const site = callSite();
      const passing: AnyEntry[] = [];
      for (const entry of entries) if (await this.gate(entry, site)) passing.push(entry);
      if (this.#blocked) throw this.#blocked;
      await log.appendAll(passing);
      return entries as unknown as AnyRecord[];
    };
    const append = async (entry: AnyEntry) => (await appendAll([entry]))[0];
    return new Proxy(log, {
      get: (target, key) => {
        if (key === 'appendAll') return appendAll;
        if (key === 'append') return append;
        if (key === 'blocked') return this.#blocked ?? target.blocked;
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }
}

/** One record in words, such as `container.start intent build` or `run.closed failed`. */
export function inWords({ type, stage, outcome, obj }: AnyRecord | AnyEntry): string {
  return [type, stage === 'note' ? '' : stage, outcome === 'ok' ? '' : outcome, obj?.['task']]
    .filter((word) => word !== undefined && word !== '')
    .join(' ');
}

export function ofType<T extends RecordType>(records: readonly AnyRecord[], type: T) {
  return records.filter((record): record is AnyRecord & { type: T } => record.type === type);
}

/** The settings of a daemon that nobody configured. */
export async function plainConfig(stateDir: string): Promise<Config> {
  return readConfig({
    flags: {},
    file: undefined,
    defaultFile: join(stateDir, 'config.yaml'),
    defaults: { socket: join(stateDir, 'socket', 'api.sock'), state_dir: stateDir },
  });
}

/** An upload as `contract/snapshot.ts` frames it. */
export async function* frames(
  files: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array, void> {
  const folders = new Set<string>();
  for (const path of Object.keys(files)) {
    for (let at = dirname(path); at !== '.'; at = dirname(at)) folders.add(at);
  }
  const line = (header: object) => Buffer.from(`${JSON.stringify(header)}\n`);
  for (const path of [...folders].toSorted()) yield line({ type: 'dir', path });
  for (const [path, text] of Object.entries(files)) {
    const content = Buffer.from(text);
    const digest = `sha256:${hash('sha256', content, 'hex')}`;
    const bytes = content.length;
    yield line({ type: 'file', path, executable: false, bytes, digest, content: true });
    yield content;
  }
  yield line({ type: 'end', entries: folders.size + Object.keys(files).length });
}

/** Where in the daemon a record call stands, such as `daemon/runs/story.ts:30`. */
function callSite(): string {
  const frame = /\/(daemon\/[\w/.-]+\.ts:\d+):\d+/.exec(new Error('where').stack ?? '');
  return frame?.[1] ?? 'outside the daemon';
}

/** As the real one, but nothing waits for the platter, and it can break. */
class HastyDisk implements LogDisk {
  isBroken = false;

  async create(path: string): Promise<LogFile> {
    return this.#hasty(await nodeDisk.create(path));
  }

  async open(path: string): Promise<LogFile> {
    return this.#hasty(await nodeDisk.open(path));
  }

  #hasty(file: LogFile): LogFile {
    return {
      append: async (bytes) => {
        if (this.isBroken) throw new Error('the disk is gone');
        await file.append(bytes);
      },
      datasync: () => Promise.resolve(),
      seal: () => file.seal(),
      close: () => file.close(),
    };
  }
}
