import type { RunView, TaskState, TaskView } from '#contract/run.ts';
import { formatDuration } from '#contract/units.ts';
import { isBad, taskWords } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import type { Styles } from '../terminal/print.ts';
import { cut, pad } from '../terminal/text.ts';
import { pausedWords } from './run-phrases.ts';
import {
  askWords,
  attemptWords,
  blockedWords,
  comesFrom,
  etaWords,
  flakyWords,
  retryWords,
} from './task-words.ts';

export type Screen = {
  rows: number;
  columns: number;
  nowMs: number;
  /** When the picture came, from which its estimates count. */
  seenMs?: number;
  /** What Ctrl-C does here. */
  interrupt?: string;
  styles: Styles;
};

/** States of tasks that are still shown in the moving part. */
export const openStates: readonly TaskState[] = [
  'running',
  'retry_wait',
  'blocked',
  'approval',
  'question',
  'waiting',
];

/** The line of a task that ended: it leaves the picture and stays in the scrollback. */
export function finishedRow(task: TaskView, screen: Screen): string {
  const said = [comesFrom(task), flakyWords(task)].filter((words) => words !== undefined);
  return row(task, screen, [...said, task.reason ?? task.title].join(' · '));
}

/**
 * The moving part of the picture: failures, then what runs, then what waits, then the counts.
 * Never higher than the screen less one row, never wider than the screen: a terminal that wraps or
 * scrolls would make redrawing impossible.
 */
export function liveRows(view: RunView, screen: Screen, activity?: string): string[] {
  const room = Math.max(1, screen.rows - 1);
  const by: ByState = Map.groupBy(view.tasks, ({ state }) => state);
  const groups = [
    // In the order of the plan, and so not one state after the other.
    { tasks: view.tasks.filter((task) => isBad(task.state)), more: 'failed' },
    { tasks: by.get('running') ?? [], more: 'running' },
    { tasks: view.tasks.filter(({ state }) => needsPeople(state)), more: 'need you' },
    { tasks: by.get('retry_wait') ?? [], more: 'to be tried again' },
    { tasks: by.get('blocked') ?? [], more: 'blocked' },
    { tasks: by.get('waiting') ?? [], more: 'waiting' },
  ];
  const open = new Set(openStates.flatMap((state) => by.get(state) ?? []).map(({ id }) => id));
  const here = { run: view.id, open, isPaused: view.paused !== undefined, nowMs: screen.nowMs };
  const rows: string[] = [];
  let left = room - 1; // The counts line.
  for (const [at, { tasks, more }] of groups.entries()) {
    // Each later group keeps one row, so that many failures do not hide what runs.
    const reserved = groups.slice(at + 1).filter((group) => group.tasks.length > 0).length;
    const share = Math.max(0, left - reserved);
    const shown = tasks.length <= share ? tasks.length : Math.max(0, share - 1);
    const kept = more === 'failed' ? tasks.slice(-shown || tasks.length) : tasks.slice(0, shown);
    for (const task of shown === 0 ? [] : kept) {
      rows.push(row(task, screen, detail(task, here)));
    }
    left -= shown;
    if (shown < tasks.length && left > 0) {
      rows.push(cut(`  … ${tasks.length - shown} more ${more}`, screen.columns - 1));
      left -= 1;
    }
  }
  return [...rows, counts(view, by, screen, activity)].slice(-room);
}

function row(task: TaskView, screen: Screen, note: string): string {
  const { icon, word, style } = taskWords[task.state];
  const shown = task.state === 'running' ? spinner(screen.nowMs) : icon;
  const width = screen.columns - 1;
  const name = pad(cut(safe(task.id), 24), 24);
  const time = pad(elapsed(task, screen.nowMs), 8);
  const head = `  ${shown} ${name} ${pad(word, 9)} ${time}`;
  const whole = cut(`${head} ${safe(note)}`.trimEnd(), width);
  // Painted after cutting, so that cutting never has to count escape sequences.
  return screen.styles[style](whole);
}

function needsPeople(state: TaskState): boolean {
  return state === 'approval' || state === 'question';
}

type ByState = ReadonlyMap<TaskState, readonly TaskView[]>;

function detail(
  task: TaskView,
  {
    run,
    open,
    isPaused,
    nowMs,
  }: { run: string; open: ReadonlySet<string>; isPaused: boolean; nowMs: number },
): string {
  if (task.state === 'retry_wait') return retryWords(task, nowMs);
  if (task.state === 'blocked') return blockedWords(task);
  if (needsPeople(task.state)) return askWords(run, task);
  const attempt = attemptWords(task);
  if (task.state !== 'waiting') {
    const note = (isBad(task.state) ? task.reason : task.title) ?? '';
    return [attempt, note].filter((words) => words !== undefined && words !== '').join(' · ');
  }
  const before = task.deps.filter((id) => open.has(id));
  if (before.length > 0) return `for ${before.join(', ')}`;
  return isPaused ? 'for the pause to end' : 'for a free slot';
}

function elapsed(task: TaskView, nowMs: number): string {
  // What it took in another run is told by that run; here it took nothing.
  if (task.state === 'cached') return '';
  if (task.durationMs !== undefined) return formatDuration(task.durationMs);
  if (task.startedAt === undefined) return '';
  return formatDuration(Math.max(0, nowMs - Date.parse(task.startedAt)));
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

function spinner(nowMs: number): string {
  return frames[Math.floor(nowMs / 100) % frames.length] ?? '▸';
}

function counts(view: RunView, by: ByState, screen: Screen, activity: string | undefined): string {
  const of = (...states: readonly TaskState[]) =>
    states.reduce((sum, state) => sum + (by.get(state)?.length ?? 0), 0);
  const cached = of('cached');
  const parts = [
    [of('succeeded', 'cached'), cached === 0 ? 'done' : `done (${cached} cached)`],
    [of('failed', 'timed_out', 'violated'), 'failed'],
    [of('running'), 'running'],
    [of('retry_wait'), 'to be tried again'],
    [of('approval', 'question'), of('approval', 'question') === 1 ? 'needs you' : 'need you'],
    [of('blocked'), 'blocked'],
    [of('skipped', 'cancelled', 'unknown'), 'not run'],
    [of('waiting'), 'waiting'],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  const { nowMs, seenMs = nowMs } = screen;
  const hasState = view.tasks.length === 0 || view.state === 'cancelling';
  const state =
    view.paused === undefined
      ? hasState
        ? [view.state]
        : []
      : [taskWords.blocked.icon, pausedWords(view.paused, nowMs)];
  const doing = activity === undefined ? [] : [activity];
  const text = [
    `  ${[...state, ...said, ...doing].join('  ')}`,
    formatDuration(Math.max(0, nowMs - Date.parse(view.submittedAt))),
    view.state === 'running' && view.etaMs !== undefined
      ? etaWords(view.etaMs - (nowMs - seenMs))
      : undefined,
    screen.interrupt ?? 'Ctrl-C cancels',
  ].filter((part) => part !== undefined);
  return screen.styles.dim(cut(text.join('   '), screen.columns - 1));
}
