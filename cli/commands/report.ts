import path from 'node:path';
import type { Command } from '../context.ts';
import { flagOption, textOption } from '../options.ts';
import { clean } from '../terminal/clean.ts';
import { writeFileFresh } from '../write-file.ts';

const bytesMax = 64 * 1024 * 1024;

export const report: Command = async (context, [id = ''], options) => {
  const { print } = context;
  const client = await context.client();
  const content = await client.content('runReport', { params: { id }, bytesMax });
  const out = textOption(options, 'out');
  if (out !== undefined) {
    const file = path.resolve(context.cwd, out);
    await writeFileFresh(file, [content]);
    if (print.json) print.object({ file });
    else print.note(`written to ${out}`);
    return 0;
  }
  const text = content.toString('utf8');
  if (print.json) print.object({ report: text });
  else if (flagOption(options, 'raw') || context.io.stdout.isTTY !== true)
    await print.bytes(content);
  else await print.bytes(Buffer.from(clean(text, { colour: false })));
  return 0;
};
