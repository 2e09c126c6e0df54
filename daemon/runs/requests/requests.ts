import { timingSafeEqual } from 'node:crypto';
import type { Logger } from 'pino';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest, RunId } from '#contract/ids.ts';
import type { RecordData } from '#contract/records.ts';
import type { AnswerRequest, AskTerms, ShownApproval, ShownQuestion } from '#contract/requests.ts';
import { answerProblem, type Question } from '#contract/requests.ts';
import type { GrownTool } from '#contract/tools.ts';
import type { BlobStore } from '../../artifacts/blobs.ts';
import type { AnyEntry, Log } from '../../audit/types.ts';
import type { Vault } from '../../audit/vault/vault.ts';
import { canonicalJson } from '../../base/canonical.ts';
import type { Clock } from '../../base/clock.ts';
import { failpoint } from '../../base/failpoints.ts';
import { newAskId } from '../../base/ids.ts';
import { cutText } from '../../base/text.ts';
import { checkValue } from '../../secrets/read-secret.ts';
import {
  isCovered,
  isEnough,
  personOf,
  whyNotApprove,
  whyNotDeny,
  type Answerer,
} from './entitled.ts';
import type { AllowedTools } from '../tools/allowed.ts';
import { closed, type End } from './ending.ts';
import { endEntries } from './growth.ts';
import type { AnswerFacts, RequestFacts, RequestStates } from './state.ts';

/** What is asked about, and everything that it is bound to. */
export type Bound = Pick<RequestFacts, 'task' | 'tool' | 'plan' | 'policy' | 'inputs' | 'about'> & {
  run: RunId;
};

export type Opening = Bound & { expiresMs: number } & (
    | {
        shown: ShownApproval;
        ask: AskTerms;
        rules: RecordData<'request.opened'>['rules'];
        grows?: GrownTool;
      }
    | { shown: ShownQuestion; question: NonNullable<RequestFacts['question']> }
  );

type RequestsDeps = {
  log: Log;
  states: RequestStates;
  blobs: Pick<BlobStore, 'put' | 'read'>;
  vault: Pick<Vault, 'keep' | 'words' | 'actor'>;
  clock: Pick<Clock, 'now'>;
  logger: Logger;
  /** What was taken off somebody's list is not granted any more. */
  allowed: Pick<AllowedTools, 'isWithdrawnSince'>;
};

export const shownBytesMax = 4 * 1024 * 1024;
const openPerRunMax = 10_000;
/** A timer of Node takes no more. */
const timerMsMax = 2 ** 31 - 1;

/**
 * What runs ask people, durable: a request is on record before anybody waits for it, an answer before
 * anything comes of it, and both outlive the daemon. What is granted counts for exactly what was
 * shown, in that run and in those that go on from it.
 *
 * Answers and ends are taken one at a time, so that of two that race one is the first.
 */
export class Requests {
  readonly #deps: RequestsDeps;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();
  /** Secret answers, by request: here and nowhere else. */
  readonly #secrets = new Map<string, Buffer>();
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(deps: RequestsDeps) {
    this.#deps = deps;
    deps.states.onClosed(({ id }) => {
      clearTimeout(this.#timers.get(id));
      this.#timers.delete(id);
      this.#waiting.get(id)?.resolve();
      this.#waiting.delete(id);
    });
  }

  get states(): RequestStates {
    return this.#deps.states;
  }

  /**
   * Takes up what an earlier daemon left open: times go on, and what was answered without its end
   * gets it. Call once, before any run goes on.
   */
  async begin(): Promise<void> {
    for (const request of this.states.open()) {
      await this.#inTurn(async () => {
        const end = this.#endOf(request);
        if (end !== undefined) await this.#deps.log.appendAll(this.#ended(request, end));
        else this.#watch(request);
      });
    }
  }

  /** Leave that covers all that is asked for now, of this run or one that it goes on from. */
  granted(bound: Bound & { grows?: GrownTool }, wanted: AskTerms): RequestFacts | undefined {
    const asker = this.states.askerOf(bound.run);
    return this.#known(bound, (request) => {
      const { state } = request;
      if (request.grows !== undefined && asker?.uid !== undefined) {
        const { name } = request.grows;
        if (this.#deps.allowed.isWithdrawnSince(asker.uid, name, request.seq)) return false;
      }
      if (bound.grows !== undefined && !isSameTool(request.grows, bound.grows)) return false;
      return state === 'granted' && isCovered(wanted, asker, request);
    });
  }

  /** The answer that a question of the same words got, of this run or one that it goes on from. */
  answered(bound: Bound): RequestFacts | undefined {
    return this.#known(bound, ({ id, state, question }) => {
      // A daemon that is gone took its secrets along.
      return state === 'answered' && (question?.kind !== 'secret' || this.#secrets.has(id));
    });
  }

  #known(bound: Bound, fits: (request: RequestFacts) => boolean): RequestFacts | undefined {
    for (const run of this.states.chainOf(bound.run)) {
      const found = this.states.ofRun(run).findLast((request) => {
        // In a later run it is as good as it would have been unanswered: no longer than asked.
        const isPast = run !== bound.run && this.#isPast(request);
        return isBoundTo(request, bound) && !isPast && fits(request);
      });
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The value of an answer; undefined where it is gone and has to be asked for again. */
  async valueOf({ id, question, answers }: RequestFacts): Promise<Buffer | string | undefined> {
    if (question?.kind === 'secret') return this.#secrets.get(id);
    const said = answers.find(({ answer }) => answer === 'value')?.said;
    if (said === undefined) return undefined;
    const words = await this.#deps.vault.words(said);
    return words === '(erased)' || words === '(not in the vault)' ? undefined : words;
  }

  /**
   * Asks, once on record. The same that is open already is not asked a second time; another one about
   * the same task is withdrawn, because only what holds now may be answered.
   */
  async open(opening: Opening): Promise<RequestFacts> {
    return this.#inTurn(async () => {
      const { run, task } = opening;
      const isLike = (other: RequestFacts) =>
        'question' in opening
          ? other.question?.name === opening.question.name
          : other.kind === 'approval';
      const ofTask = this.states
        .ofRun(run)
        .filter((other) => other.state === 'open' && other.task === task && isLike(other));
      const same = ofTask.find((other) => isSame(other, opening));
      if (same !== undefined) return same;
      if (this.states.ofRun(run).length >= openPerRunMax) {
        throw new OrchestraError('daemon.busy', `${run} has asked ${openPerRunMax} times`);
      }
      const bytes = Buffer.from(canonicalJson(opening.shown));
      const { digest: shown } = await this.#deps.blobs.put(bytes, { maxBytes: shownBytesMax });
      const id = newAskId();
      failpoint('before-request-opened');
      await this.#deps.log.appendAll([
        ...ofTask.map((other) => closed(other, { state: 'withdrawn', reason: 'asked anew' })),
        opened(id, shown, opening, this.#deps.clock.now()),
      ]);
      failpoint('after-request-opened');
      const request = this.states.find(id);
      if (request === undefined) throw new OrchestraError('internal.bug', `${id} is not asked`);
      this.#watch(request);
      return request;
    });
  }

  /** Waits for the end of a request. Rejects with the reason of `signal`; the request stays. */
  async settled(request: RequestFacts, signal: AbortSignal): Promise<void> {
    if (request.state !== 'open') return;
    signal.throwIfAborted();
    const end = this.#waiting.get(request.id) ?? Promise.withResolvers<void>();
    this.#waiting.set(request.id, end);
    const { promise: given, reject } = Promise.withResolvers<never>();
    const giveUp = () => reject(signal.reason as Error);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      await Promise.race([end.promise, given]);
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  /**
   * Takes an answer. The same answer of the same person once more changes nothing and is answered
   * alike. Throws `approval.stale` where it is about something else than what is asked, comes too
   * late, or is another than the one that this person gave; `access.denied` where he may not.
   */
  async answer(id: string, answer: AnswerRequest, answerer: Answerer): Promise<RequestFacts> {
    const request = this.states.find(id);
    if (request === undefined) throw unknownRequest(id);
    return this.#inTurn(async () => {
      if (answer.digest !== request.shown) {
        throw stale('What is asked is not what was answered', request);
      }
      const mine = request.answers.find(({ by }) => personOf(by) === personOf(answerer.actor));
      if (mine !== undefined) {
        if (await this.#isSame(request, mine, answer)) return request;
        throw stale(`You said ${wordFor(mine)} before`, request);
      }
      if (request.state === 'open' && this.#isPast(request)) {
        await this.#deps.log.append(closed(request, expired(request)));
      }
      if (request.state !== 'open') throw stale(`It is over: ${request.state}`, request);
      this.#assertMay(request, answer, answerer);
      await this.#take(request, answer, answerer);
      return request;
    });
  }

  /** Why somebody may not answer it; undefined where he may. */
  whyNot(request: RequestFacts, answerer: Answerer): string | undefined {
    if (request.kind === 'question') {
      if (answerer.isOwner || answerer.roles.has('admin')) return undefined;
      return 'it takes who submitted the run';
    }
    const { ask, run } = request;
    return ask === undefined
      ? 'nobody knows who may'
      : whyNotApprove(ask, this.states.askerOf(run), answerer);
  }

  #assertMay(request: RequestFacts, { answer }: AnswerRequest, answerer: Answerer): void {
    const isQuestion = request.kind === 'question';
    if ((answer === 'value') !== isQuestion && answer !== 'deny') {
      throw new OrchestraError(
        'answer.invalid',
        isQuestion ? 'It is a question: it takes a value' : 'It takes approve or deny',
      );
    }
    const whyNot =
      answer === 'deny' && !isQuestion && request.ask !== undefined
        ? whyNotDeny(request.ask, answerer)
        : this.whyNot(request, answerer);
    if (whyNot === undefined) return;
    throw new OrchestraError('access.denied', `You cannot answer ${request.id}: ${whyNot}`, {
      hint: 'orchestra whoami',
    });
  }

  async #take(
    request: RequestFacts,
    { answer, reason, value }: AnswerRequest,
    { actor }: Answerer,
  ): Promise<void> {
    const secret = request.question?.kind === 'secret';
    const said = answer === 'value' ? await this.#checked(request, value) : undefined;
    // Durable before the record that stands on it.
    const kept =
      said === undefined || secret ? undefined : await this.#deps.vault.keep(actor, said);
    const entry: AnyEntry = {
      type: 'request.answered',
      run: request.run,
      obj: { task: request.task },
      actor,
      outcome: answer === 'deny' ? 'denied' : 'ok',
      sev: 'notice',
      data: {
        request: request.id,
        shown: request.shown,
        answer,
        ...(reason === undefined ? {} : { reason }),
        ...(kept === undefined ? {} : { value_commitment: kept.commitment, subject: kept.subject }),
      },
    };
    const given: AnswerFacts = {
      answer,
      by: actor,
      at: '',
      ...(reason === undefined ? {} : { reason }),
    };
    const end = this.#endOf(request, given);
    // There before anybody can ask for it, and taken back where it cannot be recorded.
    if (secret && said !== undefined) this.#secrets.set(request.id, Buffer.from(said));
    failpoint('before-request-answered');
    try {
      const ended = end === undefined ? [] : this.#ended(request, end, given);
      await this.#deps.log.appendAll([entry, ...ended]);
    } catch (error) {
      this.#secrets.delete(request.id);
      throw error;
    }
    failpoint('after-request-answered');
  }

  async #checked(request: RequestFacts, value: string | undefined): Promise<string> {
    const asked = await this.#questionOf(request);
    const problem = value === undefined ? 'is missing' : answerProblem(asked, value);
    if (problem === undefined && value !== undefined) {
      if (asked.kind === 'secret') checkValue(Buffer.from(value), asked.name);
      return value;
    }
    const choices = asked.choices === undefined ? '' : `: ${asked.choices.join(', ')}`;
    throw new OrchestraError('answer.invalid', `The answer to ${asked.name} ${problem ?? ''}`, {
      hint: `${asked.kind}${choices}`,
    });
  }

  async #questionOf({ shown }: RequestFacts): Promise<Question> {
    return (JSON.parse(await this.textOf(shown)) as ShownQuestion).question;
  }

  /** What whoever answers is shown, to the letter. */
  async textOf(shown: Digest): Promise<string> {
    const bytes = await this.#deps.blobs.read(shown, { maxBytes: shownBytesMax });
    return bytes.toString('utf8');
  }

  /** What the answers come to; undefined while others have to say something. */
  #endOf(request: RequestFacts, given?: AnswerFacts): End | undefined {
    const answers = given === undefined ? request.answers : [...request.answers, given];
    const no = answers.find(({ answer }) => answer === 'deny');
    if (no !== undefined) {
      return { state: 'denied', ...(no.reason === undefined ? {} : { reason: no.reason }) };
    }
    if (request.kind === 'question') {
      return answers.some(({ answer }) => answer === 'value') ? { state: 'answered' } : undefined;
    }
    const asker = this.states.askerOf(request.run);
    const isGranted = request.ask !== undefined && isEnough(request.ask, asker, answers);
    return isGranted ? { state: 'granted' } : undefined;
  }

  #ended(request: RequestFacts, end: End, given?: AnswerFacts): AnyEntry[] {
    return endEntries(request, end, {
      asker: this.states.askerOf(request.run),
      answers: given === undefined ? request.answers : [...request.answers, given],
      open: this.states.open().map((one) => ({
        request: one,
        asker: this.states.askerOf(one.run),
      })),
    });
  }

  async #isSame(request: RequestFacts, mine: AnswerFacts, answer: AnswerRequest): Promise<boolean> {
    if (mine.answer !== answer.answer) return false;
    if (answer.answer !== 'value') return true;
    const value = await this.valueOf(request);
    const said = Buffer.from(answer.value ?? '');
    const known = typeof value === 'string' ? Buffer.from(value) : value;
    return known?.length === said.length && timingSafeEqual(known, said);
  }

  /** Nobody needs what a run, or one task of it, still asks. Safe to repeat. */
  async withdraw(run: string, reason: string, task?: string): Promise<void> {
    const isMeant = (one: RequestFacts) =>
      one.state === 'open' && (task === undefined || one.task === task);
    if (!this.states.ofRun(run).some(isMeant)) return;
    await this.#inTurn(async () => {
      const open = this.states.ofRun(run).filter(isMeant);
      const entries = open.map((one) => closed(one, { state: 'withdrawn', reason }));
      if (entries.length > 0) await this.#deps.log.appendAll(entries);
    });
  }

  /** A run is over, so nobody needs what only memory has of it. */
  forget(run: string): void {
    for (const { id } of this.states.ofRun(run)) {
      this.#secrets.get(id)?.fill(0);
      this.#secrets.delete(id);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    for (const value of this.#secrets.values()) value.fill(0);
    this.#secrets.clear();
  }

  #isPast({ expiresAt }: RequestFacts): boolean {
    return this.#deps.clock.now() >= Date.parse(expiresAt);
  }

  /** Ends it when its time is over, whoever waits. */
  #watch(request: RequestFacts): void {
    if (this.#isClosed || request.state !== 'open') return;
    const leftMs = Date.parse(request.expiresAt) - this.#deps.clock.now();
    const timer = setTimeout(
      () => {
        if (!this.#isPast(request)) return this.#watch(request);
        this.#inTurn(async () => {
          if (request.state !== 'open' || this.#isClosed) return;
          await this.#deps.log.append(closed(request, expired(request)));
        }).catch((error: unknown) => {
          // The daemon ends where its log does; until then it stays open and nothing is let go.
          this.#deps.logger.error({ err: error, request: request.id }, 'a request did not expire');
        });
      },
      Math.min(timerMsMax, Math.max(0, leftMs)),
    );
    timer.unref();
    this.#timers.set(request.id, timer);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}

export function unknownRequest(id: string): OrchestraError {
  return new OrchestraError('request.unknown', `There is no request ${cutText(id, 64)}`, {
    hint: 'orchestra approvals',
  });
}

function stale(what: string, { id }: RequestFacts): OrchestraError {
  return new OrchestraError('approval.stale', what, {
    hint: `look again: orchestra approvals ${id}`,
  });
}

function wordFor({ answer }: AnswerFacts): string {
  return answer === 'value' ? 'something else' : answer;
}

function expired({ openedAt }: RequestFacts): End {
  return { state: 'expired', reason: `nobody answered in time since ${openedAt}` };
}

function isBoundTo(request: RequestFacts, bound: Bound): boolean {
  return (
    request.task === bound.task &&
    request.plan === bound.plan &&
    request.policy === bound.policy &&
    request.inputs === bound.inputs &&
    request.about === bound.about
  );
}

function isSameTool(a: GrownTool | undefined, b: GrownTool | undefined): boolean {
  return a?.name === b?.name && a?.image === b?.image && a?.binary === b?.binary;
}

/** The same on the same terms. */
function isSame(request: RequestFacts, opening: Opening): boolean {
  if (!isBoundTo(request, opening)) return false;
  const ask = 'ask' in opening ? opening.ask : undefined;
  const grows = 'ask' in opening ? opening.grows : undefined;
  if (!isSameTool(request.grows, grows)) return false;
  return canonicalJson(request.ask ?? null) === canonicalJson(ask ?? null);
}

function opened(id: string, shown: Digest, opening: Opening, nowMs: number): AnyEntry {
  const { run, task, tool, plan, policy, inputs, about, expiresMs } = opening;
  const terms =
    'question' in opening
      ? { kind: 'question' as const, question: opening.question, rules: [] }
      : {
          kind: 'approval' as const,
          ask: opening.ask,
          rules: opening.rules,
          ...(opening.grows === undefined ? {} : { grows: opening.grows }),
        };
  return {
    type: 'request.opened',
    run,
    obj: { task },
    sev: 'notice',
    data: {
      request: id,
      tool,
      shown,
      plan,
      policy,
      inputs,
      about,
      ...terms,
      expires_at: new Date(nowMs + expiresMs).toISOString(),
    },
  };
}
