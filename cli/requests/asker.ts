import { exitCodes, OrchestraError } from '#contract/errors.ts';
import { answerProblem } from '#contract/requests.ts';
import type { AnswerRequest, RequestView, ShownQuestion } from '#contract/requests.ts';
import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import type { Context } from '../context.ts';
import type { Show } from '../run/show.ts';
import { isOver } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import { readHidden, readLine } from '../terminal/read-hidden.ts';
import { answerCommand } from './find.ts';
import { screenOf } from './screen.ts';
import { readShown } from './shown.ts';
import type { PeopleSettings } from './settings.ts';

/** Thrown to leave a run that waits for people, where nobody is here to be asked. */
export class NeedsPeople extends Error {
  readonly exit: number = exitCodes.denied;
}

const remindMs = 5 * 60_000;

export type AskerOptions = {
  context: Context;
  client: Client;
  show: Show;
  people: PeopleSettings;
  /** Called where nobody here can go on with it. */
  leave: (reason: NeedsPeople) => void;
};

/**
 * Stands between a run that is followed and whoever sits in front of it: shows what is asked, takes
 * the answers that were given beforehand, asks for the others, and never waits in silence.
 */
export class Asker implements Disposable {
  readonly #options: AskerOptions;
  readonly #seen = new Set<string>();
  readonly #waiting: string[] = [];
  /** What nobody here can answer, with the command that does. */
  readonly #left = new Map<string, string>();
  readonly #over = new AbortController();
  #asking: { id: string; stop: AbortController } | undefined;
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stands = false;

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  view(view: RunView): void {
    const open = new Set<string>();
    for (const { asks = [] } of view.tasks) {
      for (const { id } of asks) {
        open.add(id);
        if (this.#seen.has(id)) continue;
        this.#seen.add(id);
        this.#waiting.push(id);
      }
    }
    for (const id of this.#left.keys()) if (!open.has(id)) this.#left.delete(id);
    // Somebody else answered, or nobody needs it any more.
    if (this.#asking !== undefined && !open.has(this.#asking.id)) this.#asking.stop.abort();
    if (isOver(view.state)) this[Symbol.dispose]();
    else this.#start();
  }

  record({ type }: LogRecord): void {
    if (type === 'run.stands') this.#stands = true;
    else if (type === 'run.goes_on') this.#stands = false;
    this.#leaveIt();
  }

  [Symbol.dispose](): void {
    this.#over.abort();
    this.#asking?.stop.abort();
    clearInterval(this.#timer);
  }

  #start(): void {
    if (this.#work !== undefined || this.#waiting.length === 0 || this.#over.signal.aborted) return;
    this.#work = this.#askAll().finally(() => {
      this.#work = undefined;
      this.#start();
      this.#leaveIt();
    });
  }

  async #askAll(): Promise<void> {
    const { show } = this.#options;
    try {
      for (let id = this.#waiting.shift(); id !== undefined; id = this.#waiting.shift()) {
        if (this.#over.signal.aborted) return;
        await this.#askOne(id);
      }
    } catch (error) {
      // The run goes on without: whoever follows it is told, and can answer by command.
      const why = error instanceof Error ? error.message : String(error);
      show.say(`what is asked could not be shown here: ${safe(why)}; orchestra approvals`);
    }
  }

  async #askOne(id: string): Promise<void> {
    const { client, people } = this.#options;
    const view = await client.call('requestShow', { params: { id } });
    if (view.state !== 'open') return;
    const shown = readShown(view);
    if (shown.kind === 'question') {
      const { question } = shown;
      const given = people.answers.get(question.name);
      if (given !== undefined && question.kind === 'secret' && people.spoken.has(question.name)) {
        this.#options.show.say(
          `${question.name} is a secret: it is not taken from --answer, where every user sees it`,
        );
      } else if (given !== undefined) return this.#send(view, { answer: 'value', value: given });
      else if (people.mode !== 'ask' && question.default !== undefined) {
        this.#options.show.say(`${question.name}: takes its default ${safe(question.default)}`);
        return this.#send(view, { answer: 'value', value: question.default });
      }
    }
    if (people.mode !== 'ask' || !view.mayAnswer) {
      this.#leaveToOthers(view);
      return;
    }
    await this.#askHere(view, shown.kind === 'question' ? shown : undefined);
  }

  async #askHere(view: RequestView, question: ShownQuestion | undefined): Promise<void> {
    const { show, context } = this.#options;
    const stop = new AbortController();
    this.#asking = { id: view.id, stop };
    using _held = show.hold?.();
    try {
      const columns = context.io.stderr.columns ?? 80;
      context.print.warn('');
      for (const line of screenOf(view, { nowMs: Date.now(), columns })) context.print.warn(line);
      const answer =
        question === undefined
          ? await this.#decide(view, stop.signal)
          : await this.#value(question, stop.signal);
      if (answer !== undefined) await this.#send(view, answer);
      else if (stop.signal.aborted) context.print.warn(`${view.id} needs no answer any more`);
      else this.#leaveToOthers(view);
    } finally {
      this.#asking = undefined;
    }
  }

  async #decide(
    view: RequestView,
    signal: AbortSignal,
  ): Promise<Omit<AnswerRequest, 'digest'> | undefined> {
    const { context } = this.#options;
    for (;;) {
      const keys = '[a] approve once  [d] deny  [v] whole plan  [l] later  [?] ';
      const line = await readLine(context, keys, signal);
      switch (line?.trim().toLowerCase()) {
        case 'a':
          return { answer: 'approve' };
        case 'd': {
          const reason = await readLine(context, 'why not? ', signal);
          if (reason !== undefined && reason.trim() !== '') {
            return { answer: 'deny', reason: reason.trim().slice(0, 500) };
          }
          break;
        }
        case 'v':
          await this.#showPlan(view);
          break;
        case 'l':
        case undefined:
          return undefined;
        default:
          for (const text of help) context.print.warn(text);
      }
    }
  }

  async #value(
    { question }: ShownQuestion,
    signal: AbortSignal,
  ): Promise<Omit<AnswerRequest, 'digest'> | undefined> {
    const { context } = this.#options;
    const usual = question.default === undefined ? '' : ` [${safe(question.default)}]`;
    const hint = question.kind === 'confirm' ? ' (yes or no)' : '';
    for (;;) {
      const prompt = `${question.name}${hint}${usual}: `;
      const typed =
        question.kind === 'secret'
          ? await readHidden(context, prompt, signal)
          : await readLine(context, prompt, signal);
      if (typed === undefined) return undefined;
      const value = typed === '' ? (question.default ?? '') : spoken(question.kind, typed);
      const problem = answerProblem(question, value);
      if (problem === undefined && value !== '') return { answer: 'value', value };
      context.print.warn(`that ${problem ?? 'is empty'}`);
    }
  }

  async #send(view: RequestView, answer: Omit<AnswerRequest, 'digest'>): Promise<void> {
    const { client, show } = this.#options;
    try {
      const row = await client.call('requestAnswer', {
        params: { id: view.id },
        body: { digest: view.shown, ...answer },
      });
      const what = row.question ?? row.task;
      if (row.state !== 'open') return;
      const said = row.answers.length;
      show.say(`${safe(what)}: ${said} of ${row.ask?.approvals ?? 1} approved; it waits for more`);
      this.#leaveToOthers(view);
    } catch (error) {
      if (!(error instanceof OrchestraError)) throw error;
      show.say(`${view.id}: ${safe(error.message)}`);
      if (error.code !== 'approval.stale') this.#leaveToOthers(view);
    }
  }

  async #showPlan({ run }: RequestView): Promise<void> {
    const { client, context } = this.#options;
    const bytes = await client.content('runPlan', {
      params: { id: run },
      bytesMax: 64 * 1024 * 1024,
    });
    const plan = JSON.parse(bytes.toString('utf8')) as {
      tasks: { id: string; command: string[]; deps: string[] }[];
    };
    for (const { id, command, deps } of plan.tasks.slice(0, planTasksShown)) {
      const after = deps.length === 0 ? '' : ` (after ${deps.map(safe).join(', ')})`;
      context.print.warn(`  ${safe(id)}${after}: ${command.map(safe).join(' ').slice(0, 500)}`);
    }
    const more = plan.tasks.length - planTasksShown;
    if (more > 0) context.print.warn(`  … ${more} more tasks`);
  }

  #leaveToOthers(view: RequestView): void {
    const { show, people, context } = this.#options;
    const command = answerCommand(view);
    this.#left.set(view.id, command);
    const what = view.question === undefined ? view.task : `${view.task}: ${view.question}`;
    const why = view.whyNot === undefined ? '' : ` (${safe(view.whyNot)})`;
    show.say(`${safe(what)} waits for people${why}: ${command}`);
    if (context.print.json) context.print.object({ waits: { ...view, command } });
    if (people.mode === 'fail') return;
    this.#timer ??= setInterval(() => this.#remind(), remindMs).unref();
  }

  #remind(): void {
    for (const command of this.#left.values()) {
      this.#options.show.say(`still waits for people: ${command}`);
    }
  }

  /** Nothing of the run goes on without people, and none are here. */
  #leaveIt(): void {
    const isOurs = this.#options.people.mode === 'fail' && this.#stands;
    // What is being asked or answered may let it go on.
    if (!isOurs || this.#work !== undefined || this.#left.size === 0) return;
    if (this.#over.signal.aborted) return;
    this.#options.leave(new NeedsPeople('the run waits for people'));
  }
}

const planTasksShown = 200;

function spoken(kind: string, typed: string): string {
  if (kind !== 'confirm') return typed;
  if (/^y(?:es)?$/i.test(typed)) return 'yes';
  return /^no?$/i.test(typed) ? 'no' : typed;
}

const help = [
  '  a  lets exactly this run, once: the task, in this sandbox, in this run',
  '  d  says no; the task fails, and what depends on it does not run',
  '  v  shows every task of the plan',
  '  l  leaves it open: orchestra approvals shows it',
  '  There is no "always": a rule in the policy is.',
];
