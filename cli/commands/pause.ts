import type { Command } from '../context.ts';
import { flagOption, textOption } from '../options.ts';

/** Drain, unless `--freeze`: two kinds, so that nobody's work stands still by surprise. */
export const pause: Command = async ({ print, client }, [id = ''], options) => {
  const kind = flagOption(options, 'freeze') ? 'freeze' : 'drain';
  const reason = textOption(options, 'reason');
  const daemon = await client();
  const answer = await daemon.call('runPause', {
    params: { id },
    body: { kind, ...(reason === undefined ? {} : { reason }) },
  });
  if (print.json) print.object({ ...answer, kind });
  else {
    const what =
      kind === 'freeze'
        ? 'is frozen: what runs stands still, and so do its clocks'
        : 'is paused: what runs may finish, nothing new starts';
    print.line(`${answer.id} ${what}`);
    print.note(`orchestra resume ${answer.id} goes on`);
  }
  return 0;
};
