import type { RunView, TaskView } from '#contract/run.ts';
import { formatDuration } from '#contract/units.ts';
import { isBad, taskWords } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import type { Styles } from '../terminal/print.ts';
import { cut, pad } from '../terminal/text.ts';

export type Screen = { rows: number; columns: number; nowMs: number; styles: Styles };

/** The line of a task that ended: it leaves the picture and stays in the scrollback. */
export function finishedRow(task: TaskView, screen: Screen): string {
  return row(task, screen, task.reason ?? task.title);
}

/**
 * The moving part of the picture: failures, then what runs, then what waits, then the counts.
 * Never higher than the screen less one row, never wider than the screen: a terminal that wraps or
 * scrolls would make redrawing impossible.
 */
export function liveRows(view: RunView, screen: Screen, activity?: string): string[] {
  const room = Math.max(1, screen.rows - 1);
  const failed = view.tasks.filter((task) => isBad(task.state));
  const running = view.tasks.filter((task) => task.state === 'running');
  const waiting = view.tasks.filter((task) => task.state === 'waiting');
  const groups = [
    { tasks: failed, more: 'failed' },
    { tasks: running, more: 'running' },
    { tasks: waiting, more: 'waiting' },
  ];
  const open = new Set([...running, ...waiting].map((task) => task.id));
  const rows: string[] = [];
  let left = room - 1; // The counts line.
  for (const [at, { tasks, more }] of groups.entries()) {
    // Each later group keeps one row, so that many failures do not hide what runs.
    const reserved = groups.slice(at + 1).filter((group) => group.tasks.length > 0).length;
    const share = Math.max(0, left - reserved);
    const shown = tasks.length <= share ? tasks.length : Math.max(0, share - 1);
    const kept = more === 'failed' ? tasks.slice(-shown || tasks.length) : tasks.slice(0, shown);
    for (const task of shown === 0 ? [] : kept) rows.push(row(task, screen, detail(task, open)));
    left -= shown;
    if (shown < tasks.length && left > 0) {
      rows.push(cut(`  … ${tasks.length - shown} more ${more}`, screen.columns - 1));
      left -= 1;
    }
  }
  return [...rows, counts(view, screen, activity)].slice(-room);
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

function detail(task: TaskView, open: ReadonlySet<string>): string {
  if (isBad(task.state)) return task.reason ?? '';
  if (task.state !== 'waiting') return task.title;
  const before = task.deps.filter((id) => open.has(id));
  return before.length > 0 ? `for ${before.join(', ')}` : 'for a free slot';
}

function elapsed(task: TaskView, nowMs: number): string {
  if (task.durationMs !== undefined) return formatDuration(task.durationMs);
  if (task.startedAt === undefined) return '';
  return formatDuration(Math.max(0, nowMs - Date.parse(task.startedAt)));
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

function spinner(nowMs: number): string {
  return frames[Math.floor(nowMs / 100) % frames.length] ?? '▸';
}

function counts(view: RunView, screen: Screen, activity: string | undefined): string {
  const of = (states: readonly string[]) =>
    view.tasks.filter((task) => states.includes(task.state)).length;
  const parts = [
    [of(['succeeded']), 'done'],
    [of(['failed', 'timed_out', 'violated']), 'failed'],
    [of(['running']), 'running'],
    [of(['skipped', 'cancelled', 'unknown']), 'not run'],
    [of(['waiting']), 'waiting'],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`);
  const state = view.tasks.length === 0 || view.state === 'cancelling' ? [view.state] : [];
  const time = formatDuration(Math.max(0, screen.nowMs - Date.parse(view.submittedAt)));
  const doing = activity === undefined ? [] : [activity];
  const text = `  ${[...state, ...said, ...doing].join('  ')}   ${time}   Ctrl-C cancels`;
  return screen.styles.dim(cut(text, screen.columns - 1));
}
