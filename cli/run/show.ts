import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';

/** What shows a run while it goes. */
export type Show = {
  view(view: RunView): void;
  record(record: LogRecord): void;
  /** A line that stays, above whatever moves. */
  say(text: string): void;
  /** Takes away what moves. */
  end(): void;
};
