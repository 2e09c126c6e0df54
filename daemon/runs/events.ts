import type { RunId } from '#contract/ids.ts';
import type { Log, LogLine } from '../audit/types.ts';

/** The records of a run from `from` on, history then live; ends with its closing record. */
export async function* untilClosed(
  log: Log,
  run: RunId,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void, undefined> {
  if (log.runState(run)?.closed === true) {
    yield* log.read({ from, run });
    return;
  }
  for await (const line of log.follow({ from, run, signal })) {
    yield line;
    if (line.record.type === 'run.closed') return;
  }
}
