import { exitCodes } from '#contract/errors.ts';
import type { RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import { acrossRestart } from '../client/patience.ts';
import type { Command, Context } from '../context.ts';
import { durationOption } from '../options.ts';
import { pausedWords } from '../run/run-phrases.ts';
import { headline } from '../run/summary.ts';
import { exitOf, isOver } from '../run-words.ts';

/** Waits for the end of a run, whoever started it; ends with its exit code. */
export const wait: Command = async (context, [id = '@last'], options) => {
  const timeoutMs = durationOption(options, 'timeout');
  const client = await context.client();
  const view = await client.call('runShow', { params: { id } });
  if (isOver(view.state)) return over(context, view);
  if (view.paused !== undefined) {
    context.print.note(`${view.id} is ${pausedWords(view.paused, Date.now())}`);
  }
  const stopped = new AbortController();
  const late = timeoutMs === undefined ? undefined : setTimeout(() => stopped.abort(), timeoutMs);
  let code: number = exitCodes.timeout;
  using _taken = context.interrupts.take((signal) => {
    code = signal === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted;
    stopped.abort();
  });
  try {
    await untilClosed(client, view, stopped.signal);
    const last = await acrossRestart(() => client.call('runShow', { params: { id: view.id } }));
    if (isOver(last.state)) return over(context, last);
    return given(context, last, code);
  } finally {
    clearTimeout(late);
  }
};

async function untilClosed(client: Client, view: RunView, signal: AbortSignal): Promise<void> {
  const records = client.events('runEvents', {
    params: { id: view.id },
    signal,
    // What was before is no news, and of a long run it is much.
    after: view.audit.last,
    isLast: ({ type }) => type === 'run.closed',
  });
  for await (const _record of records);
}

function over({ print }: Context, view: RunView): number {
  const exit = exitOf(view);
  if (print.json) print.object({ result: { exit_code: exit, run: view } });
  else print.line(headline(view, print.out));
  return exit;
}

function given({ print }: Context, view: RunView, exit: number): number {
  const isLate = exit === exitCodes.timeout;
  if (print.json) {
    print.object({
      waited: { run: view.id, state: view.state, timed_out: isLate, exit_code: exit },
    });
  } else if (isLate) {
    print.line(headline(view, print.out));
    print.warn(`waited long enough for ${view.id}; it goes on by itself`);
  }
  return exit;
}
