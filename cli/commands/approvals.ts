import { OrchestraError } from '#contract/errors.ts';
import { Digest } from '#contract/ids.ts';
import type { AnswerRequest, RequestRow, RequestView } from '#contract/requests.ts';
import { formatDuration } from '#contract/units.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context } from '../context.ts';
import { flagOption, textOption } from '../options.ts';
import { answerCommand, findRequest } from '../requests/find.ts';
import { screenOf } from '../requests/screen.ts';
import { readShown } from '../requests/shown.ts';
import { canAsk, confirm } from '../terminal/ask.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** What runs ask people; with a request, all that its approval would bind to. */
export const approvals: Command = async (context, [id, task], options) => {
  const client = await context.client();
  const { print } = context;
  if (id !== undefined) {
    const view = await findRequest(client, id, task);
    const shown = readShown(view);
    if (print.json) print.object({ ...view, shown_text: shown });
    else for (const line of wholeScreen(context, view)) print.line(line);
    return 0;
  }
  const state = flagOption(options, 'all') ? 'all' : 'open';
  const { items } = await client.call('requestList', { query: { state, limit: 500 } });
  if (print.json) {
    print.object({ items });
    return 0;
  }
  if (items.length === 0) print.note('nothing is asked');
  else for (const line of table([heading, ...items.map(rowOf)])) print.line(line);
  const [first] = items.filter((row) => row.state === 'open');
  if (first !== undefined) print.note(`see all of it: orchestra approvals ${first.id}`);
  return 0;
};

export const approve: Command = async (context, args, options) =>
  answerWith(context, args, { answer: 'approve', digest: textOption(options, 'digest') });

export const deny: Command = async (context, args, options) => {
  const reason = textOption(options, 'reason');
  if (reason === undefined || reason.trim() === '') {
    throw new OrchestraError('usage.invalid', 'A no needs its reason', {
      hint: 'orchestra deny … --reason "not on a Friday"',
    });
  }
  return answerWith(context, args, {
    answer: 'deny',
    reason,
    digest: textOption(options, 'digest'),
  });
};

type Said = Pick<AnswerRequest, 'answer' | 'reason'> & { digest: string | undefined };

async function answerWith(
  context: Context,
  [first = '', second]: readonly string[],
  { answer, reason, digest }: Said,
): Promise<number> {
  const client = await context.client();
  const view = await findRequest(client, first, second);
  if (answer === 'approve' && view.kind === 'question') {
    throw new OrchestraError('answer.invalid', `${view.id} is a question`, {
      hint: answerCommand(view),
    });
  }
  const bound =
    answer === 'deny' ? checked(view, digest ?? view.shown) : await seen(context, view, digest);
  const row = await sendAnswer(client, view, {
    answer,
    digest: bound,
    ...(reason === undefined ? {} : { reason }),
  });
  sayWhatCame(context, row, answer);
  return 0;
}

/** The digest of what somebody looked at: named, or shown now and confirmed. */
async function seen(context: Context, view: RequestView, digest?: string): Promise<string> {
  if (digest !== undefined) return checked(view, digest);
  if (view.state !== 'open') {
    throw new OrchestraError('approval.stale', `${view.id} is not open any more: ${view.state}`, {
      hint: `what it was: orchestra approvals ${view.id}`,
    });
  }
  const lines = wholeScreen(context, view);
  if (!canAsk(context)) {
    for (const line of lines) context.print.warn(line);
    throw new OrchestraError('approval.missing', 'Nobody is there to look at it', {
      hint: `after a look at it: ${answerCommand(view)} --digest ${view.shown}`,
    });
  }
  for (const line of lines) context.print.warn(line);
  if (view.whyNot !== undefined) {
    throw new OrchestraError('access.denied', `You cannot approve it: ${safe(view.whyNot)}`);
  }
  if (await confirm(context, 'Approve exactly this, once?')) return view.shown;
  throw new OrchestraError('approval.missing', 'Nothing was approved');
}

function checked(view: RequestView, digest: string): string {
  if (!Digest.safeParse(digest).success) {
    throw new OrchestraError('usage.invalid', `${digest} is not a whole sha256:… digest`);
  }
  if (digest === view.shown) readShown(view);
  return digest;
}

export async function sendAnswer(
  client: Client,
  { id }: Pick<RequestRow, 'id'>,
  body: AnswerRequest,
): Promise<RequestRow> {
  return client.call('requestAnswer', { params: { id }, body });
}

export function sayWhatCame({ print }: Context, row: RequestRow, answer: string): void {
  if (print.json) {
    print.object(row);
    return;
  }
  const what = row.question === undefined ? row.task : `${row.question} of ${row.task}`;
  const said = row.answers.filter((one) => one.answer === 'approve').length;
  const need = row.ask?.approvals ?? 1;
  const words =
    row.state === 'open'
      ? `is approved by ${said} of ${need}; it waits for ${need - said} more`
      : row.state === 'granted'
        ? 'is approved'
        : row.state === 'answered'
          ? 'is answered'
          : row.state;
  const isOld = answer === 'approve' && !['open', 'granted'].includes(row.state);
  print.line(`${safe(what)} of ${row.run} ${isOld ? `was ${row.state} meanwhile` : words}`);
}

function wholeScreen({ io }: Context, view: RequestView): string[] {
  return screenOf(view, { nowMs: Date.now(), columns: io.stderr.columns ?? 100 });
}

const heading = ['REQUEST', 'STATE', 'RUN', 'WHAT', 'ASKED BY', 'LEFT', 'RULE'];

function rowOf(row: RequestRow): string[] {
  const leftMs = Date.parse(row.expiresAt) - Date.now();
  const [rule] = row.rules;
  return [
    row.id,
    row.state,
    row.run,
    row.question === undefined ? row.task : `${row.task}: ${row.question}`,
    row.askedBy,
    row.state === 'open' ? formatDuration(Math.max(0, leftMs)) : '',
    rule === undefined ? '' : `${rule.document}/${rule.id}`,
  ];
}
