import { OrchestraError } from '#contract/errors.ts';
import type { Command } from '../context.ts';
import { textOption } from '../options.ts';

/** What somebody thinks of a run: plans like its own are chosen by that, too. */
export const rate: Command = async ({ print, client }, [id = '', rating = ''], options) => {
  if (rating !== 'up' && rating !== 'down') {
    throw new OrchestraError('usage.invalid', 'A run is rated up or down', {
      hint: `orchestra rate ${id} up`,
    });
  }
  const note = textOption(options, 'note');
  const daemon = await client();
  const answer = await daemon.call('runRate', {
    params: { id },
    body: { rating, ...(note === undefined ? {} : { note }) },
  });
  if (print.json) print.object(answer);
  else print.line(`${answer.id} is rated ${rating} (${answer.up} up, ${answer.down} down)`);
  return 0;
};
