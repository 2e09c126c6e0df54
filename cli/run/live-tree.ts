import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';
import { isBad } from '../run-words.ts';
import { clean } from '../terminal/clean.ts';
import type { Styles } from '../terminal/print.ts';
import type { OutputStream } from '../terminal/streams.ts';
import { Activity } from './activity.ts';
import { finishedRow, liveRows, openStates, type Screen } from './tree.ts';
import type { Show } from './show.ts';

const frameMs = 100;

export type LiveTreeOptions = {
  now?: () => number;
  /** What Ctrl-C does to the run that is shown. */
  interrupt?: string | undefined;
};

/**
 * A picture of the run that is redrawn in place, in the normal screen: what has ended becomes
 * ordinary scrollback. The one writer of cursor sequences in the CLI. It moves only over rows that
 * it wrote itself, erases to the end of the screen, and leaves nothing switched on behind.
 */
export class LiveTree implements Show {
  readonly #stream: OutputStream;
  readonly #styles: Styles;
  readonly #now: () => number;
  readonly #activity = new Activity();
  readonly #done = new Set<string>();
  readonly #interrupt: string;
  #view: RunView | undefined;
  #seenMs = 0;
  #height = 0;
  #timer: NodeJS.Timeout | undefined;
  /** While somebody is asked: what is to be said afterwards. */
  #held: string[] | undefined;

  constructor(
    stream: OutputStream,
    styles: Styles,
    { now = Date.now, interrupt = 'Ctrl-C cancels' }: LiveTreeOptions = {},
  ) {
    this.#stream = stream;
    this.#styles = styles;
    this.#now = now;
    this.#interrupt = interrupt;
    this.#timer = setInterval(() => this.#draw([]), frameMs);
    this.#timer.unref();
  }

  view(view: RunView): void {
    this.#view = view;
    this.#seenMs = this.#now();
    this.#draw([]);
  }

  record(record: LogRecord): void {
    const line = this.#activity.see(record);
    if (line !== undefined) this.say(this.#styles.dim(`  ${line}`));
  }

  say(text: string): void {
    this.#draw([clean(text, { colour: true })]);
  }

  hold(): Disposable {
    const height = this.#height;
    this.#held ??= [];
    if (height > 0) this.#stream.write(frame(height, []));
    this.#height = 0;
    return {
      [Symbol.dispose]: () => {
        const said = this.#held ?? [];
        this.#held = undefined;
        this.#draw(said);
      },
    };
  }

  end(): void {
    if (this.#held !== undefined) {
      const said = this.#held;
      this.#held = undefined;
      if (said.length > 0) this.#stream.write(frame(0, said));
    }
    clearInterval(this.#timer);
    const [last, view] = [this.#height, this.#view];
    this.#view = undefined;
    const gone = view === undefined ? [] : this.#ended(view);
    if (last > 0 || gone.length > 0) this.#stream.write(frame(last, gone));
    this.#height = 0;
  }

  #draw(said: readonly string[]): void {
    if (this.#held !== undefined) {
      this.#held.push(...said);
      return;
    }
    const view = this.#view;
    if (view === undefined) {
      if (said.length > 0) this.#stream.write(frame(0, said));
      return;
    }
    const above = [...said, ...this.#ended(view)];
    // A slow terminal gets fewer pictures, not a longer queue; what stays is never left out.
    if (this.#stream.writableNeedDrain && above.length === 0) return;
    const rows = liveRows(view, this.#screen(), this.#activity.now);
    this.#stream.write(frame(this.#height, [...above, ...rows]));
    this.#height = rows.length;
  }

  #ended(view: RunView): string[] {
    // A failure stays in sight until the summary tells of it.
    const over = view.tasks.filter(
      (task) => !openStates.includes(task.state) && !isBad(task.state),
    );
    const fresh = over.filter((task) => !this.#done.has(task.id));
    for (const task of fresh) this.#done.add(task.id);
    return fresh.map((task) => finishedRow(task, this.#screen()));
  }

  #screen(): Screen {
    return {
      rows: this.#stream.rows ?? 24,
      columns: this.#stream.columns ?? 80,
      nowMs: this.#now(),
      seenMs: this.#seenMs,
      interrupt: this.#interrupt,
      styles: this.#styles,
    };
  }
}

// One write a picture: up to its first row, each row over the old one, the rest erased.
function frame(height: number, rows: readonly string[]): string {
  const up = height > 0 ? `\u001b[${height}A` : '';
  return `${up}\r${rows.map((text) => `\u001b[2K${text}\n`).join('')}\u001b[0J`;
}
