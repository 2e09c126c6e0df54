import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import type { Context, Signal } from '../context.ts';
import { Asker, type NeedsPeople } from '../requests/asker.ts';
import type { PeopleSettings } from '../requests/settings.ts';
import { exitOf } from '../run-words.ts';
import { followRun } from './follow.ts';
import { RunLinks } from './links.ts';
import type { Show } from './show.ts';

export type Driven = { view: RunView; exit: number; links: RunLinks };

/** Thrown to leave a run to itself; carries the exit code. */
export class Detached extends Error {
  readonly exit: number = exitCodes.interrupted;
}

/**
 * Follows a run that this command started. The first Ctrl-C cancels it and waits for its end, the
 * second leaves it to itself. SIGTERM cancels too, so that a cancelled CI job leaves no container.
 */
export async function driveRun(
  context: Context,
  client: Client,
  id: string,
  show: Show,
  { people, onRecord }: { people: PeopleSettings; onRecord?: (record: LogRecord) => void },
): Promise<Driven> {
  const links = new RunLinks();
  const left = new AbortController();
  const leave = (reason: NeedsPeople) => left.abort(reason);
  using asker = new Asker({ context, client, show, people, leave });
  let first: Signal | undefined;
  using _taken = context.interrupts.take((signal) => {
    if (first !== undefined && signal === 'SIGINT') {
      left.abort(new Detached());
      return;
    }
    first ??= signal;
    show.say('cancelling the run; Ctrl-C again leaves it to itself');
    const reason = signal === 'SIGINT' ? 'Ctrl-C' : 'SIGTERM';
    client.call('runCancel', { params: { id }, body: { reason } }).catch((error: unknown) => {
      // It may have ended by itself a moment ago; its events tell.
      if (!(error instanceof OrchestraError) || error.code !== 'run.conflict') left.abort(error);
    });
  });
  try {
    const view = await followRun(
      client,
      id,
      {
        onView: (each) => {
          show.view(each);
          asker.view(each);
        },
        say: (text) => show.say(text),
        onRecord: (record) => {
          links.see(record);
          show.record(record);
          asker.record(record);
          onRecord?.(record);
          if (context.print.json) context.print.object({ record });
        },
      },
      left.signal,
    );
    return { view, exit: exitAfter(view, first), links };
  } finally {
    show.end();
  }
}

function exitAfter(view: RunView, signal: Signal | undefined): number {
  if (signal === undefined || view.state !== 'cancelled') return exitOf(view);
  return signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated;
}
