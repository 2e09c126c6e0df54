import { open } from 'node:fs/promises';

/** An entry with its bytes; `torn` where the file ends within one; `wrong` where none can end. */
export type NotesEntry =
  { kind: 'note'; offset: number; bytes: Buffer } | { kind: 'torn' | 'wrong'; offset: number };

/** More than a note may have. */
const windowBytes = 128 * 1024;

/**
 * The notes of `checkpoints.log`, up to `limit` bytes of it: each is text, an empty line, signature
 * lines, and one more empty line behind it. Flat memory.
 */
export async function* readNotes(path: string, limit = Infinity): AsyncGenerator<NotesEntry> {
  await using file = await open(path, 'r');
  const size = Math.min((await file.stat()).size, limit);
  let buffer: Buffer = Buffer.alloc(0);
  let offset = 0;
  let read = 0;
  while (offset < size) {
    const end = endOfNote(buffer);
    if (end !== undefined) {
      yield { kind: 'note', offset, bytes: buffer.subarray(0, end - 1) };
      buffer = buffer.subarray(end);
      offset += end;
      continue;
    }
    if (buffer.length >= windowBytes) {
      yield { kind: 'wrong', offset };
      return;
    }
    if (read >= size) {
      yield { kind: 'torn', offset };
      return;
    }
    const next = Buffer.alloc(Math.min(4 * windowBytes, size - read));
    const { bytesRead } = await file.read(next, 0, next.length, read);
    if (bytesRead === 0) return;
    read += bytesRead;
    buffer = Buffer.concat([buffer, next.subarray(0, bytesRead)]);
  }
}

function endOfNote(buffer: Buffer): number | undefined {
  const window = buffer.subarray(0, windowBytes);
  const text = window.indexOf('\n\n');
  const signatures = text === -1 ? -1 : window.indexOf('\n\n', text + 2);
  return signatures === -1 ? undefined : signatures + 2;
}
