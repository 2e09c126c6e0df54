import { OrchestraError } from '#contract/errors.ts';
import type { Context, Options } from '../context.ts';
import { flagOption } from '../options.ts';

/** Whether exact lines are asked for. They may hold anything, so a terminal never gets them. */
export function wantsRaw({ io, print }: Context, options: Options): boolean {
  if (!flagOption(options, 'raw')) return false;
  if (print.json) {
    throw new OrchestraError('usage.invalid', '--raw and --json are two forms: choose one');
  }
  if (io.stdout.isTTY === true) {
    throw new OrchestraError('usage.invalid', '--raw is not written to a terminal', {
      hint: 'send it to a file or a program: orchestra audit list --raw > records.jsonl',
    });
  }
  return true;
}
