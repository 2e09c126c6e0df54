import path from 'node:path';
import type { KeysAnswer } from '#contract/checkpoint.ts';
import { exitCodes } from '#contract/errors.ts';
import type { Command, Context } from '../context.ts';
import { textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { writeFileFresh } from '../write-file.ts';

/** The newest signed note, as it is. */
export const auditCheckpoint: Command = async (context, _arguments, options) => {
  const { print } = context;
  const client = await context.client();
  const { checkpoint } = await client.call('auditCheckpoint', { query: {} });
  const out = textOption(options, 'out');
  if (out !== undefined) {
    const file = path.resolve(context.cwd, out);
    await writeFileFresh(file, [Buffer.from(checkpoint)]);
    if (print.json) print.object({ file });
    else print.line(safe(file));
  } else if (print.json) {
    print.object({ checkpoint });
  } else {
    for (const line of checkpoint.trimEnd().split('\n')) print.line(safe(line));
  }
  return exitCodes.ok;
};

export const auditKeys: Command = async (context) => {
  const client = await context.client();
  show(context, await client.call('auditKeys'));
  return exitCodes.ok;
};

export const auditKeysRotate: Command = async (context) => {
  const client = await context.client();
  show(context, await client.call('auditKeysRotate'));
  return exitCodes.ok;
};

function show({ print }: Context, answer: KeysAnswer): void {
  if (print.json) {
    print.object(answer);
    return;
  }
  print.line(`log  ${safe(answer.origin)}`);
  for (const { epoch, vkey, seq, final } of answer.keys) {
    const state = final === undefined ? 'signs now' : 'destroyed';
    print.line(`key of epoch ${epoch}, record ${seq}, ${state}`);
    print.line(`  ${safe(vkey)}`);
  }
  if (answer.witness_key !== undefined) {
    print.line('for witnesses');
    print.line(`  ${safe(answer.witness_key)}`);
  }
}
