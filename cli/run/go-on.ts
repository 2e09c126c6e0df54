import { OrchestraError } from '#contract/errors.ts';
import type { ContinueAnswer, RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import type { Context } from '../context.ts';
import { exitOf, isOver, runWords } from '../run-words.ts';
import { canAsk, confirm } from '../terminal/ask.ts';
import { safe } from '../terminal/clean.ts';
import type { ShowSettings } from './settings.ts';
import { openStates } from './tree.ts';
import { detach, toTheEnd } from './to-the-end.ts';

export type Earlier = {
  id: string;
  /** Absent where another daemon ran it. */
  view: RunView | undefined;
  /** As it was typed, for hints. */
  command: string;
  /** Asks the daemon what would be done, or to do it. */
  ask: (how: { dryRun: boolean; again: boolean }) => Promise<ContinueAnswer>;
};

export type GoOnOptions = {
  again: boolean;
  dryRun: boolean;
  isDetached: boolean;
  show: ShowSettings;
};

/**
 * Goes on from an earlier run: says what is kept and what runs again before anything starts, asks
 * where a task with side effects would run twice, then follows the run to its end.
 */
export async function goOn(
  context: Context,
  client: Client,
  earlier: Earlier,
  options: GoOnOptions,
): Promise<number> {
  const { print } = context;
  const preview = await earlier.ask({ dryRun: true, again: options.again });
  if (preview.nothing !== undefined) {
    if (!isLeftOpen(context, earlier)) return nothingToDo(context, earlier, preview.nothing);
    print.note(`Run   ${earlier.id}`);
    return toTheEnd(context, client, earlier.id, options.show);
  }
  if (options.dryRun) {
    if (print.json) print.object(shownAnswer(earlier, preview));
    for (const line of previewLines(earlier, preview)) print.line(line);
    return 0;
  }
  if (print.json) print.object({ preview: shownAnswer(earlier, preview) });
  for (const line of previewLines(earlier, preview)) print.note(line);
  const again = options.again || (await mayRunTwice(context, earlier, preview));
  const answer = await earlier.ask({ dryRun: false, again });
  if (answer.id === undefined || answer.nothing !== undefined) {
    return nothingToDo(context, earlier, answer.nothing ?? 'it ended meanwhile');
  }
  if (options.isDetached) return detach(context, answer.id);
  print.note(`Run   ${answer.id}`);
  return toTheEnd(context, client, answer.id, options.show);
}

/**
 * A local daemon goes on with what an earlier one left open, and ends with this command: whoever
 * says resume wants to see the end of it.
 */
function isLeftOpen({ globals }: Context, { view }: Earlier): boolean {
  return globals.local && view !== undefined && !isOver(view.state);
}

/** A run that is over has the last word: a script may resume until it is 0. */
function nothingToDo({ print }: Context, { id, view }: Earlier, why: string): number {
  const exit = view !== undefined && isOver(view.state) ? exitOf(view) : 0;
  if (print.json) print.object({ nothing: why, run: id, exit_code: exit });
  else {
    print.line(`Nothing to do for ${safe(id)}: ${safe(why)}`);
    if (view !== undefined && !isOver(view.state)) print.note(`orchestra watch ${id} follows it`);
  }
  return exit;
}

async function mayRunTwice(
  context: Context,
  { command }: Earlier,
  { twice }: ContinueAnswer,
): Promise<boolean> {
  if (twice.length === 0) return false;
  const [has, it] = twice.length === 1 ? ['has', 'it'] : ['have', 'them'];
  const what = `${namesOf(twice)} ${has} side effects and began before`;
  if (canAsk(context) && (await confirm(context, `${what}. Run ${it} once more?`))) return true;
  throw new OrchestraError('approval.missing', `Nothing was started: ${what}`, {
    hint: `${command} --again   runs ${it} once more`,
  });
}

function previewLines(earlier: Earlier, { kept, rerun, twice }: ContinueAnswer): string[] {
  const { id, view } = earlier;
  if (view?.state === 'paused') return [pauseLine(view)];
  const state = view === undefined ? '' : ` (${runWords[view.state].word})`;
  const all = view?.tasks.length ?? kept.length + rerun.length;
  const rows: [string, readonly string[]][] = [
    ['keeps', kept],
    ['runs', rerun],
    ['twice', twice],
  ];
  return [
    `Goes on from ${safe(id)}${state}: keeps ${kept.length} of ${all} tasks, runs ${rerun.length}`,
    ...rows
      .filter(([, names]) => names.length > 0)
      .map(([word, names]) => `  ${word.padEnd(6)}${namesOf(names)}`),
    ...(view?.continuedBy === undefined ? [] : [`  ${view.continuedBy} went on from it already`]),
  ];
}

function pauseLine({ id, tasks }: RunView): string {
  const done = tasks.filter(({ state }) => !openStates.includes(state)).length;
  return `Lifts the pause of ${id}: ${done} of ${tasks.length} tasks have ended`;
}

const namesShown = 8;

function namesOf(names: readonly string[]): string {
  const shown = names.slice(0, namesShown).map(safe).join(', ');
  return names.length > namesShown ? `${shown}, … ${names.length - namesShown} more` : shown;
}

function shownAnswer({ id }: Earlier, { kept, rerun, twice }: ContinueAnswer): object {
  return { run: id, kept, rerun, twice };
}
