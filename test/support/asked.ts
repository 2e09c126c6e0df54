import { createHash } from 'node:crypto';
import { pino } from 'pino';
import type { Role } from '#contract/access.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Actor, AnyRecord } from '#contract/records.ts';
import type { AnswerRequest, AskTerms } from '#contract/requests.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';
import type { Answerer } from '#daemon/runs/requests/entitled.ts';
import { Requests, type Opening } from '#daemon/runs/requests/requests.ts';
import { AllowedTools } from '#daemon/runs/tools/allowed.ts';
import { RequestStates, type RequestFacts } from '#daemon/runs/requests/state.ts';
import { MemoryLog } from './memory-log.ts';

export const askedRun = 'r-asked00001';
export const asker: Actor = { kind: 'user', auth: 'peer', uid: 1000 };
const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const hour = 3_600_000;

/** Requests over a log in memory that is folded as the real one is, with a clock of its own. */
export class Asked {
  readonly log = new MemoryLog();
  readonly blobs = new Map<string, Buffer>();
  readonly said = new Map<string, string>();
  nowMs = Date.parse('2026-11-23T12:00:00Z');
  states = new RequestStates();
  allowed = new AllowedTools();
  requests: Requests;
  #seq = 0;

  private constructor() {
    this.requests = this.#make();
  }

  static async open(submittedBy: Actor = asker): Promise<Asked> {
    const it = new Asked();
    await it.submitted(askedRun, submittedBy);
    return it;
  }

  #make(): Requests {
    return new Requests({
      log: this.#folding(),
      states: this.states,
      blobs: {
        put: async (bytes) => {
          const content = Buffer.from(bytes as Uint8Array);
          const hash = createHash('sha256').update(content).digest('hex');
          this.blobs.set(`sha256:${hash}`, content);
          return { digest: `sha256:${hash}`, bytes: content.length };
        },
        read: async (name) => {
          const found = this.blobs.get(name);
          if (found === undefined) throw new OrchestraError('blob.unknown', name);
          return found;
        },
      },
      vault: {
        actor: async (actor) => actor,
        keep: async (_actor, text) => {
          const commitment = createHash('sha256').update(text).digest('hex');
          this.said.set(commitment, text);
          return { commitment, subject: 'subj_0123456789abcdef' };
        },
        words: async (said) =>
          'text' in said ? said.text : (this.said.get(said.commitment) ?? '(not in the vault)'),
      },
      clock: { now: () => this.nowMs },
      logger: pino({ level: 'silent' }),
      allowed: this.allowed,
    });
  }

  #folding(): Log {
    const append = async (entry: AnyEntry) => {
      await this.log.append(entry);
      return this.#fold(entry);
    };
    const appendAll = async (entries: readonly AnyEntry[]) => {
      const records: AnyRecord[] = [];
      for (const entry of entries) records.push(await append(entry));
      return records;
    };
    return { append, appendAll } as unknown as Log;
  }

  #fold(entry: AnyEntry): AnyRecord {
    const record = {
      actor: { kind: 'daemon', auth: 'self' },
      ...structuredClone(entry),
      seq: this.#seq++,
      ts: new Date(this.nowMs).toISOString(),
    } as unknown as AnyRecord;
    this.states.fold(record);
    this.allowed.fold(record);
    return record;
  }

  /** What somebody else in the daemon says. */
  async record(entry: AnyEntry): Promise<void> {
    await this.#folding().append(entry);
  }

  async submitted(run: string, actor: Actor, continues?: string): Promise<void> {
    this.#fold({
      type: 'run.submitted',
      run,
      actor,
      data: {
        snapshot: digest('1'),
        policy: 'default',
        concurrency: 1,
        timeout_ms: 1,
        workspace: '',
        ...(continues === undefined
          ? {}
          : { continues: { run: continues, mode: 'resume', again: false } }),
      },
    });
  }

  /** The daemon is killed and another one reads the log. */
  async restart(): Promise<void> {
    this.requests.close();
    const before = this.log.entries.splice(0);
    const submitted = this.states.askerOf(askedRun) ?? asker;
    this.states = new RequestStates();
    this.allowed = new AllowedTools();
    this.#seq = 0;
    await this.submitted(askedRun, submitted);
    for (const entry of before) this.#fold(entry);
    this.log.entries.push(...before);
    this.requests = this.#make();
    await this.requests.begin();
  }

  opening(ask: Partial<AskTerms> = {}, change: Partial<Opening> = {}): Opening {
    const terms = { approvals: 1, from: [['approver']], self: true, ...ask };
    return {
      run: askedRun,
      task: 'deploy',
      tool: 'node',
      plan: digest('a'),
      policy: digest('b'),
      inputs: digest('c'),
      about: digest('d'),
      expiresMs: hour,
      ask: terms,
      rules: [],
      shown: { version: 1, kind: 'approval', ...change, ask: terms } as never,
      ...change,
    } as Opening;
  }

  async ask(...args: Parameters<Asked['opening']>): Promise<RequestFacts> {
    return this.requests.open(this.opening(...args));
  }

  async answer(
    request: RequestFacts,
    who: Answerer,
    answer: AnswerRequest['answer'],
    more: Partial<AnswerRequest> = {},
  ): Promise<RequestFacts> {
    return this.requests.answer(request.id, { digest: request.shown, answer, ...more }, who);
  }
}

export function person(
  uid: number | undefined,
  { roles = ['approver'], ...more }: Partial<Omit<Answerer, 'roles'>> & { roles?: Role[] } = {},
): Answerer {
  const actor: Actor =
    uid === undefined ? { kind: 'user', auth: 'socket' } : { kind: 'user', auth: 'peer', uid };
  return { actor, roles: new Set(roles), isOwner: false, ...more };
}
