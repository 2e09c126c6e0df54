import type { Command } from '../context.ts';
import { textOption } from '../options.ts';

export const cancel: Command = async ({ print, client }, [id = ''], options) => {
  const daemon = await client();
  const reason = textOption(options, 'reason');
  const answer = await daemon.call('runCancel', {
    params: { id },
    body: reason === undefined ? {} : { reason },
  });
  if (print.json) print.object(answer);
  else print.line(`${answer.id} is being cancelled`);
  return 0;
};
