import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { noteBytesMax } from '#verifier/tlog/note.ts';

/**
 * The notes of these sizes out of all that were ever signed; of several of one size the last, which
 * has most signatures. `checkpoints.log` holds note after note, an empty line behind each.
 */
export async function notesOfSizes(
  dir: string,
  sizes: ReadonlySet<number>,
): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const input = createReadStream(join(dir, 'checkpoints.log'), { encoding: 'utf8' });
  let text = '';
  let isSigned = false;
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line !== '') {
      text += `${line}\n`;
      // Whatever stands there, it is no note.
      if (text.length > noteBytesMax) text = '';
      continue;
    }
    if (text !== '' && !isSigned) {
      isSigned = true;
      text += '\n';
      continue;
    }
    const size = Number(text.split('\n', 2)[1]);
    if (sizes.has(size)) found.set(size, text);
    text = '';
    isSigned = false;
  }
  return found;
}
