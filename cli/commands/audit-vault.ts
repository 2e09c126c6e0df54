import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { Command } from '../context.ts';
import { flagOption, parseCount, textOption } from '../options.ts';
import { canAsk, confirm } from '../terminal/ask.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { writeFileFresh } from '../write-file.ts';

/** What the commitment in a record stands for, with the salt: whoever has the record can check it. */
export const auditDisclose: Command = async (context, [number = ''], options) => {
  const { print, cwd } = context;
  const seq = parseCount(number, 'SEQ', { min: 0, max: Number.MAX_SAFE_INTEGER });
  const reason = textOption(options, 'reason');
  const client = await context.client();
  const told = await client.call('auditDisclose', {
    params: { seq: String(seq) },
    body: reason === undefined ? {} : { reason },
  });
  const out = textOption(options, 'out');
  const text = `${JSON.stringify(told, null, 2)}\n`;
  if (out !== undefined) await writeFileFresh(path.resolve(cwd, out), [Buffer.from(text)]);
  if (print.json) print.object(told);
  else if (out !== undefined) print.note(`written to ${safe(out)}`);
  else {
    print.line(`${safe(told.field)}  ${safe(told.value)}`);
    print.line(`  salt        ${told.salt}`);
    print.line(`  commitment  ${told.commitment}, in record ${told.seq}`);
    print.line(`  subject     ${told.subject}`);
  }
  return exitCodes.ok;
};

/** Whom the subjects of the log stand for. */
export const auditSubjects: Command = async ({ print, client }) => {
  const { items } = await (await client()).call('auditSubjects');
  if (print.json) {
    print.object({ items });
    return exitCodes.ok;
  }
  if (items.length === 0) print.note('nobody called yet');
  const rows = items.map(({ subject, uid, name }) => [
    subject,
    uid === undefined ? '' : String(uid),
    safe(name ?? ''),
  ]);
  if (rows.length > 0) rows.unshift(['SUBJECT', 'UID', 'NAME']);
  for (const line of table(rows)) print.line(line);
  return exitCodes.ok;
};

/** Destroys the key of a subject. Nobody can take that back, so somebody has to say yes. */
export const auditErase: Command = async (context, [subject = ''], options) => {
  const { print } = context;
  const reason = textOption(options, 'reason');
  if (reason === undefined || reason === '') {
    throw new OrchestraError('usage.invalid', 'Why? It goes into the log', {
      hint: `orchestra audit erase ${safe(subject)} --reason TEXT`,
    });
  }
  if (!flagOption(options, 'yes')) {
    if (!canAsk(context)) {
      throw new OrchestraError('approval.missing', 'What is erased cannot be brought back', {
        hint: 'the same with --yes',
      });
    }
    const question = `Erase all that the vault holds of ${safe(subject)}, for ever?`;
    if (!(await confirm(context, question))) return exitCodes.denied;
  }
  const client = await context.client();
  const erased = await client.call('auditErase', { params: { subject }, body: { reason } });
  if (print.json) print.object(erased);
  else print.line(`erased ${erased.subject}; the log is as it was, and says so`);
  return exitCodes.ok;
};
