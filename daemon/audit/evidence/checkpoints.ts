import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { noteBytesMax } from '#verifier/tlog/note.ts';

/** The notes of sizes from `first` on up to the first one that covers `last`, as they were written. */
export async function* notesBetween(
  dir: string,
  { first, last }: { first: number; last: number },
): AsyncGenerator<string> {
  const input = createReadStream(join(dir, 'checkpoints.log'), { encoding: 'utf8' });
  let covered = -1;
  try {
    for await (const note of notesIn(createInterface({ input, crlfDelay: Infinity }))) {
      const size = Number(note.split('\n', 2)[1]);
      if (!Number.isSafeInteger(size) || size < first || (covered >= last && size > covered))
        continue;
      covered = Math.max(covered, size);
      yield note;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  } finally {
    input.destroy();
  }
}

/** Text, an empty line, signatures, an empty line: note after note. */
async function* notesIn(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let text = '';
  let isSigned = false;
  for await (const line of lines) {
    if (line !== '') {
      text += `${line}\n`;
      // Whatever stands there, it is no note.
      if (text.length > noteBytesMax) text = '';
    } else if (text !== '' && !isSigned) {
      isSigned = true;
      text += '\n';
    } else {
      if (isSigned) yield text;
      text = '';
      isSigned = false;
    }
  }
}
