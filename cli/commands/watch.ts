import type { Command } from '../context.ts';
import { exitCodes } from '#contract/errors.ts';
import { choiceOption } from '../options.ts';
import { followRun } from '../run/follow.ts';
import { RunLinks } from '../run/links.ts';
import { outputForms, showLive } from '../run/show-live.ts';
import { printSummary } from '../run/summary.ts';
import { exitOf } from '../run-words.ts';

/** Follows a run that goes on whatever happens here: Ctrl-C only stops watching. */
export const watch: Command = async (context, [id = '@last'], options) => {
  const form = choiceOption(options, 'output', outputForms);
  const client = await context.client();
  const show = showLive(context, form, 'Ctrl-C stops watching');
  const links = new RunLinks();
  const stopped = new AbortController();
  let code: number = exitCodes.interrupted;
  using _taken = context.interrupts.take((signal) => {
    if (signal === 'SIGTERM') code = exitCodes.terminated;
    stopped.abort();
  });
  try {
    const follower = {
      onView: (view: Parameters<typeof show.view>[0]) => show.view(view),
      say: (text: string) => show.say(text),
      onRecord: (record: Parameters<RunLinks['see']>[0]) => {
        links.see(record);
        show.record(record);
        if (context.print.json) context.print.object({ record });
      },
    };
    const view = await followRun(client, id, follower, stopped.signal);
    show.end();
    const { intact, text } = links.verdict;
    const exit = intact ? exitOf(view) : exitCodes.violation;
    if (context.print.json) {
      context.print.object({ result: { exit_code: exit, run: view, audit: { intact, text } } });
    } else {
      await printSummary(context, client, { view, exit, reportDir: undefined, verdict: text });
    }
    return exit;
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    if (context.print.json) context.print.object({ stopped: { exit_code: code } });
    return code;
  } finally {
    show.end();
  }
};
