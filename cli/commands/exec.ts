import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { RunView, TaskView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context } from '../context.ts';
import { flagOption } from '../options.ts';
import { Detached, driveRun } from '../run/drive.ts';
import { hintLines } from '../run/hints.ts';
import { runSettings } from '../run/settings.ts';
import { NeedsPeople } from '../requests/asker.ts';
import type { Show } from '../run/show.ts';
import { snapshotWorkspace } from '../run/snapshot.ts';
import { howItEnded } from '../run/summary.ts';
import { leftAlone, waitsForPeople } from '../run/to-the-end.ts';
import { taskChunks, taskOutput } from '../run/task-output.ts';
import { exitOf, isOver } from '../run-words.ts';
import { safe, TerminalCleaner } from '../terminal/clean.ts';
import { quoted } from './plan.ts';

/**
 * One command as a task: its stdout on ours, its stderr on ours, its exit code ours. Exact bytes
 * go to a pipe or a file; what goes to a terminal is cleaned first, unless `--raw`. It always runs:
 * who types a command wants it run, whatever it answered before.
 */
export const exec: Command = async (context, command, options) => {
  const { print } = context;
  const settings = await runSettings(context, options);
  const client = await context.client();
  const snapshot = await snapshotWorkspace(context, client, settings.workspace);
  const intent = command.map(quoted).join(' ').toWellFormed().slice(0, 2000);
  const body = { ...settings.submit, intent, exec: [...command], snapshot, cache: false };
  const { id } = await client.call('runSubmit', { body });
  print.detail(`run ${id}`);
  const output = new Output(context, client, id, flagOption(options, 'raw'));
  try {
    const { view, exit } = await driveRun(context, client, id, output, settings);
    await output.finished(view);
    const [task] = view.tasks;
    const code = view.state === 'cancelled' ? exit : exitOfExec(view, task);
    if (print.json) print.object({ result: { exit_code: code, run: view } });
    else {
      sayWhy(context, view, task);
      for (const line of hintLines(task?.hints)) print.note(`orchestra: ${line}`);
    }
    return code;
  } catch (error) {
    if (error instanceof NeedsPeople) return waitsForPeople(context, id, error);
    if (!(error instanceof Detached)) throw error;
    return leftAlone(context, id, error);
  }
};

/**
 * The command's own code where it ended by itself or by a signal (128 + its number); this table's
 * where a limit, the policy or Orchestra ended it.
 */
function exitOfExec(view: RunView, task: TaskView | undefined): number {
  const endedItself =
    task !== undefined &&
    task.limit === undefined &&
    (task.state === 'succeeded' || task.state === 'failed');
  if (!endedItself) return exitOf(view);
  if (task.signal !== undefined) {
    const number = (constants.signals as Record<string, number>)[task.signal];
    return number === undefined ? exitOf(view) : 128 + number;
  }
  return task.exitCode ?? exitOf(view);
}

function sayWhy({ print }: Context, view: RunView, task: TaskView | undefined): void {
  const isOwn = task !== undefined && task.limit === undefined && task.exitCode !== undefined;
  if (view.state === 'succeeded' || (isOwn && view.state === 'failed')) {
    print.detail(`${view.id}: ${task === undefined ? view.state : howItEnded(task)}`);
    return;
  }
  const reasons = view.reasons.length > 0 ? view.reasons : [view.reason ?? view.state];
  print.warn(
    `orchestra: ${view.id} ${view.state.replace('_', ' ')}: ${reasons.map(safe).join('; ')}`,
  );
  if (task !== undefined) print.warn(`  ${howItEnded(task)}`);
}

const notBegun: readonly TaskView['state'][] = ['waiting', 'approval', 'question'];

/** Begins to pass output on as soon as the task runs; shows nothing else. */
class Output implements Show {
  readonly #context: Context;
  readonly #client: Client;
  readonly #id: string;
  readonly #raw: boolean;
  #passing: Promise<void> | undefined;

  constructor(context: Context, client: Client, id: string, raw: boolean) {
    this.#context = context;
    this.#client = client;
    this.#id = id;
    this.#raw = raw;
  }

  view(view: RunView): void {
    const [task] = view.tasks;
    if (task === undefined || notBegun.includes(task.state) || this.#passing !== undefined) return;
    if (isOver(view.state) && task.output === undefined) return;
    this.#passing = this.#pass(task.id);
    this.#passing.catch(() => undefined); // `finished` reports it.
  }

  record(): void {}

  say(text: string): void {
    this.#context.print.note(text);
  }

  end(): void {}

  /** Waits for the last byte. */
  async finished(view: RunView): Promise<void> {
    this.view(view);
    await this.#passing;
  }

  async #pass(task: string): Promise<void> {
    const { print, io } = this.#context;
    const cleaners = {
      out:
        !this.#raw && io.stdout.isTTY === true
          ? new TerminalCleaner({ colour: print.colour.out })
          : undefined,
      err:
        !this.#raw && io.stderr.isTTY === true
          ? new TerminalCleaner({ colour: print.colour.err })
          : undefined,
    };
    if (print.json) {
      const chunks = patiently(() => taskChunks(this.#client, this.#id, task, { follow: true }));
      for await (const chunk of chunks) await print.chunk({ output: chunk });
      return;
    }
    const output = patiently(() => taskOutput(this.#client, this.#id, task, { follow: true }));
    for await (const { bytes, stream } of output) {
      const cleaner = cleaners[stream];
      await print.bytes(cleaner === undefined ? bytes : Buffer.from(cleaner.push(bytes)), stream);
    }
    for (const stream of ['out', 'err'] as const) {
      await print.bytes(Buffer.from(cleaners[stream]?.end() ?? ''), stream);
    }
  }
}

/** The picture can be ahead of the log by a moment: nothing was sent then, so try again. */
async function* patiently<T>(open: () => AsyncGenerator<T>): AsyncGenerator<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      yield* open();
      return;
    } catch (error) {
      const early = error instanceof OrchestraError && error.code === 'task.unknown';
      if (!early || attempt >= 50) throw error;
      await sleep(100);
    }
  }
}
