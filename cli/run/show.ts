import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';

/** What shows a run while it goes. */
export type Show = {
  view(view: RunView): void;
  record(record: LogRecord): void;
  /** A line that stays, above whatever moves. */
  say(text: string): void;
  /** Nothing moves until what is given back is disposed of: somebody is asked something. */
  hold?(): Disposable;
  /** Takes away what moves. */
  end(): void;
};
