import type { Logger } from 'pino';
import type { LogPruner } from './log-pruner.ts';

const dayMs = 86_400_000;
const firstMs = 10 * 60_000;

/**
 * Once a day what the setting no longer keeps is let go, beside everything else. What a daemon that
 * ended had on record and not yet removed goes at the start.
 */
export function pruneDaily(
  pruner: Pick<LogPruner, 'prune' | 'resume'>,
  logger: Pick<Logger, 'warn' | 'info'>,
): Disposable {
  const timers = new Set<NodeJS.Timeout>();
  const failed = (error: unknown) => logger.warn({ err: error }, 'the log could not be pruned');
  const tidy = () => {
    pruner.prune({ dryRun: false }).then(({ from, to }) => {
      if (to > from) logger.info({ from, to }, 'the oldest part of the log was let go');
    }, failed);
  };
  pruner.resume().catch(failed);
  timers.add(setTimeout(tidy, firstMs).unref());
  timers.add(setInterval(tidy, dayMs).unref());
  return {
    [Symbol.dispose]() {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
