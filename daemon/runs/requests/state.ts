import type { Digest, RunId, SubjectId } from '#contract/ids.ts';
import type { Actor, AnyRecord, RecordData } from '#contract/records.ts';
import type { AnswerKind, AskTerms, RequestState } from '#contract/requests.ts';
import type { GrownTool } from '#contract/tools.ts';

export type AnswerFacts = {
  answer: AnswerKind;
  /** As a record names them: a subject of the vault. */
  by: Actor;
  at: string;
  reason?: string;
  /** Of a question, where it is no secret. */
  said?: { commitment: string; subject: SubjectId };
};

/** What people were asked, as the log has it. */
export type RequestFacts = {
  id: string;
  run: RunId;
  task: string;
  tool: string;
  kind: 'approval' | 'question';
  state: RequestState;
  shown: Digest;
  /** To what it is bound: nothing that is granted counts for anything else. */
  plan: Digest;
  policy: Digest;
  inputs: Digest;
  about: Digest;
  ask?: AskTerms;
  rules: RecordData<'request.opened'>['rules'];
  /** The program that comes on the list of whoever asks when it is granted. */
  grows?: GrownTool;
  question?: NonNullable<RecordData<'request.opened'>['question']>;
  seq: number;
  openedAt: string;
  expiresAt: string;
  closedAt?: string;
  reason?: string;
  answers: AnswerFacts[];
};

type Asker = { actor: Actor; continues?: RunId };

/** All requests and whose runs they are about: a fold over the log, and nothing else. */
export class RequestStates {
  readonly #requests = new Map<string, RequestFacts>();
  readonly #open = new Map<string, RequestFacts>();
  readonly #byRun = new Map<string, RequestFacts[]>();
  readonly #askers = new Map<string, Asker & { seq: number }>();
  readonly #listeners = new Set<(request: RequestFacts) => void>();

  fold(record: AnyRecord): void {
    switch (record.type) {
      case 'log.pruned':
        this.#forget(record.data.to_seq);
        return;
      case 'run.submitted': {
        const { continues } = record.data;
        this.#askers.set(record.run ?? '', {
          seq: record.seq,
          actor: record.actor,
          ...(continues === undefined ? {} : { continues: continues.run }),
        });
        return;
      }
      case 'request.opened':
        this.#opened(record);
        return;
      case 'request.answered':
        this.#open.get(record.data.request)?.answers.push(answered(record));
        return;
      case 'request.closed': {
        const request = this.#open.get(record.data.request);
        if (request === undefined) return;
        request.state = record.data.state;
        request.closedAt = record.ts;
        if (record.data.reason !== undefined) request.reason = record.data.reason;
        this.#open.delete(request.id);
        for (const listener of this.#listeners) listener(request);
        return;
      }
      default:
    }
  }

  #opened(record: AnyRecord & { type: 'request.opened' }): void {
    const { request: id, expires_at: expiresAt, ask, grows, question, ...said } = record.data;
    if (this.#requests.has(id)) return;
    const request: RequestFacts = {
      id,
      run: record.run ?? '',
      task: record.obj?.['task'] ?? '',
      state: 'open',
      ...said,
      ...(ask === undefined ? {} : { ask }),
      ...(grows === undefined ? {} : { grows }),
      ...(question === undefined ? {} : { question }),
      seq: record.seq,
      openedAt: record.ts,
      expiresAt,
      answers: [],
    };
    this.#requests.set(id, request);
    this.#open.set(id, request);
    const ofRun = this.#byRun.get(request.run);
    if (ofRun) ofRun.push(request);
    else this.#byRun.set(request.run, [request]);
  }

  #forget(to: number): void {
    for (const [id, { seq, run }] of this.#requests) {
      if (seq >= to) continue;
      this.#requests.delete(id);
      this.#open.delete(id);
      const left = (this.#byRun.get(run) ?? []).filter((one) => one.id !== id);
      if (left.length === 0) this.#byRun.delete(run);
      else this.#byRun.set(run, left);
    }
    for (const [run, { seq }] of this.#askers) if (seq < to) this.#askers.delete(run);
  }

  find(id: string): RequestFacts | undefined {
    return this.#requests.get(id);
  }

  /** In the order in which they were opened. */
  all(): RequestFacts[] {
    return [...this.#requests.values()];
  }

  open(): RequestFacts[] {
    return [...this.#open.values()];
  }

  ofRun(run: string): readonly RequestFacts[] {
    return this.#byRun.get(run) ?? [];
  }

  /** The commitments to answers that requests still stand on. */
  commitments(): Set<string> {
    const said = this.all().flatMap(({ answers }) => answers.map((one) => one.said?.commitment));
    return new Set(said.filter((one) => one !== undefined));
  }

  /** Who submitted the run. */
  askerOf(run: string): Actor | undefined {
    return this.#askers.get(run)?.actor;
  }

  /** The run and those that it goes on from, newest first. */
  chainOf(run: string): string[] {
    const chain: string[] = [];
    for (let at: string | undefined = run; at !== undefined && chain.length < chainMax;) {
      if (chain.includes(at)) break;
      chain.push(at);
      at = this.#askers.get(at)?.continues;
    }
    return chain;
  }

  /** Calls back with each request that closes from now on. */
  onClosed(listener: (request: RequestFacts) => void): void {
    this.#listeners.add(listener);
  }
}

const chainMax = 256;

function answered(record: AnyRecord & { type: 'request.answered' }): AnswerFacts {
  const { answer, reason, value_commitment: commitment, subject } = record.data;
  return {
    answer,
    by: record.actor,
    at: record.ts,
    ...(reason === undefined ? {} : { reason }),
    ...(commitment === undefined || subject === undefined ? {} : { said: { commitment, subject } }),
  };
}
