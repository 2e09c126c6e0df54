import { OrchestraError } from '#contract/errors.ts';
import type { Command, Context } from '../context.ts';
import { textOption } from '../options.ts';
import { readInput, readTextFile } from '../read-text.ts';
import { findRequest } from '../requests/find.ts';
import { readShown } from '../requests/shown.ts';
import { readHidden } from '../terminal/read-hidden.ts';
import { canAsk } from '../terminal/ask.ts';
import { sayWhatCame, sendAnswer } from './approvals.ts';

const valueBytesMax = 64 * 1024;

/** Answers a question of a plan. A secret comes from a file, a pipe or a terminal that shows nothing. */
export const answer: Command = async (context, [first = '', second, value], options) => {
  const client = await context.client();
  const isById = first.startsWith('a-');
  const view = await findRequest(client, first, isById ? undefined : second);
  const said = isById ? second : value;
  const shown = readShown(view);
  if (shown.kind !== 'question') {
    throw new OrchestraError('answer.invalid', `${view.id} is no question`, {
      hint: `orchestra approve ${view.run} ${view.task}`,
    });
  }
  const { name, kind } = shown.question;
  const file = textOption(options, 'file');
  if (kind === 'secret' && said !== undefined) {
    throw new OrchestraError(
      'usage.invalid',
      `${name} is a secret, and every user sees arguments`,
      {
        hint: `orchestra answer ${view.run} ${name} --file -`,
      },
    );
  }
  const given =
    said ??
    (file === undefined
      ? kind === 'secret' && canAsk(context)
        ? await readHidden(context, `${name}: `)
        : shown.question.default
      : await valueIn(context, file));
  if (given === undefined) {
    throw new OrchestraError('usage.invalid', `What is the answer to ${name}?`, {
      hint: `orchestra answer ${view.run} ${name} VALUE, or --file FILE`,
    });
  }
  const row = await sendAnswer(client, view, {
    answer: 'value',
    digest: view.shown,
    value: given,
  });
  sayWhatCame(context, row, 'value');
  return 0;
};

/** Without the line end that editors and `echo` put behind it. */
async function valueIn({ io }: Context, file: string): Promise<string> {
  const text =
    file === '-'
      ? (await readInput(io.stdin, valueBytesMax)).toString('utf8')
      : await readTextFile(file, { bytesMax: valueBytesMax, code: 'usage.invalid' });
  return text.replace(/\r?\n$/, '');
}
