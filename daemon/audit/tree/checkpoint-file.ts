import { open, rename, rm, truncate, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { parseSignedCheckpoint, type SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { noteBytesMax, spellNote } from '#verifier/tlog/note.ts';
import { failpoint } from '../../base/failpoints.ts';
import { syncFolder } from '../disk.ts';

/** Every checkpoint that was ever signed: notes, an empty line behind each. */
const logName = 'checkpoints.log';
/** The newest one, with every signature that is known; made from the other file. */
const newestName = 'checkpoint';

type Tail = {
  /** The last ones in the file, in its order. */
  notes: SignedCheckpoint[];
  /** Offset behind the last whole note: a torn one follows it and may be cut. */
  end: number;
  bytes: number;
};

const windowBytes = 2 * noteBytesMax;

/**
 * The end of `checkpoints.log`, undefined where there is no such file. What a crash leaves behind the
 * last whole note is tolerated; anything else that is no note throws `audit.broken`.
 */
export async function readCheckpoints(dir: string): Promise<Tail | undefined> {
  let file: FileHandle;
  try {
    file = await open(join(dir, logName), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  await using opened = file;
  const { size } = await opened.stat();
  const from = Math.max(0, size - windowBytes);
  const { buffer, bytesRead } = await opened.read(Buffer.alloc(size - from), 0, size - from, from);
  const { notes, end } = notesIn(buffer.subarray(0, bytesRead), from > 0);
  return { notes, end: from + end, bytes: size };
}

/** The one of the largest tree; of several notes of it the last, which has most signatures. */
export function newestOf(notes: readonly SignedCheckpoint[]): SignedCheckpoint | undefined {
  let newest: SignedCheckpoint | undefined;
  for (const note of notes) if (note.size >= (newest?.size ?? 0)) newest = note;
  return newest;
}

/** Of a log that lost records for good: notes of more records than are left are put away. */
export async function putAway(dir: string, left: number): Promise<void> {
  const path = join(dir, logName);
  const tail = await readWhole(path);
  if (tail === undefined) return;
  const kept = tail.filter(({ size }) => size <= left);
  if (kept.length === tail.length) return;
  const gone = tail.filter(({ size }) => size > left);
  const spell = (notes: readonly SignedCheckpoint[]) =>
    notes.map(({ note }) => `${spellNote(note)}\n`).join('');
  await replace(join(dir, 'quarantine', `checkpoints-${left}.log`), spell(gone));
  await syncFolder(join(dir, 'quarantine'));
  await replace(path, spell(kept));
  await syncFolder(dir);
}

/** Appends notes and keeps `checkpoint` beside them. One append at a time. */
export class CheckpointFile {
  readonly #dir: string;
  readonly #file: FileHandle;

  private constructor(dir: string, file: FileHandle) {
    this.#dir = dir;
    this.#file = file;
  }

  /** Cuts what a crash left behind the last whole note. */
  static async open(dir: string): Promise<{ file: CheckpointFile; notes: SignedCheckpoint[] }> {
    const path = join(dir, logName);
    const tail = await readCheckpoints(dir);
    if (tail !== undefined && tail.end < tail.bytes) await truncate(path, tail.end);
    const handle = await open(path, 'a', 0o600);
    await handle.sync();
    if (tail === undefined) await syncFolder(dir);
    const file = new CheckpointFile(dir, handle);
    const notes = tail?.notes ?? [];
    const newest = newestOf(notes);
    if (newest === undefined) await rm(join(dir, newestName), { force: true });
    else await file.publish(spellNote(newest.note));
    return { file, notes };
  }

  /** Durable once it resolves. */
  async append(note: string): Promise<void> {
    await this.#file.appendFile(`${note}\n`);
    failpoint('before-checkpoint-synced');
    await this.#file.datasync();
  }

  /** `checkpoint` is this one from now on. Not synced: it is made again at the next start. */
  async publish(note: string): Promise<void> {
    const path = join(this.#dir, newestName);
    await writeFile(`${path}.new`, note, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** A text, its signatures, the next text …: blocks that empty lines part. */
function notesIn(bytes: Buffer, isCut: boolean): { notes: SignedCheckpoint[]; end: number } {
  // One character a byte, so that places in the text are places in the file.
  const text = bytes.toString('latin1');
  let at = isCut ? firstText(text) : 0;
  const notes: SignedCheckpoint[] = [];
  for (;;) {
    const middle = text.indexOf('\n\n', at);
    const end = middle === -1 ? -1 : text.indexOf('\n\n', middle + 2);
    if (end === -1) return { notes, end: at };
    const note = parseSignedCheckpoint(bytes.subarray(at, end + 1));
    if (note === undefined) {
      const message = `${logName}: what ends at byte ${end - bytes.length} from its end is no note`;
      throw new OrchestraError('audit.broken', message, { hint: 'orchestra audit verify' });
    }
    notes.push(note);
    at = end + 2;
  }
}

/** A window begins anywhere; the first note that is there whole follows some signatures. */
function firstText(text: string): number {
  const dash = Buffer.from('\u2014 ').toString('latin1');
  for (let at = 0; ;) {
    const end = text.indexOf('\n\n', at);
    if (end === -1) return text.length;
    if (text.startsWith(dash, at)) return end + 2;
    at = end + 2;
  }
}

async function readWhole(path: string): Promise<SignedCheckpoint[] | undefined> {
  try {
    await using file = await open(path, 'r');
    return notesIn(await file.readFile(), false).notes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function replace(path: string, text: string): Promise<void> {
  {
    await using file = await open(`${path}.new`, 'w', 0o600);
    await file.writeFile(text);
    await file.sync();
  }
  await rename(`${path}.new`, path);
}
