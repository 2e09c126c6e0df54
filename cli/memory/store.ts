import { hash, randomBytes } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { parseSignedCheckpoint } from '../../verifier/tlog/checkpoint.ts';
import type { Env } from '../terminal/streams.ts';
import type { Seen } from './judge.ts';

const SeenFile = z.strictObject({
  version: z.literal(1),
  note: z.string(),
  epoch: z.number().int().min(0),
  vkey: z.string(),
});
const ServedFile = z.strictObject({ socket: z.string(), origin: z.string() });

/** Where the CLI keeps what it knows of logs: out of reach of the daemon. */
export function memoryDir(env: Env): string {
  const base = env['XDG_STATE_HOME'];
  const dir =
    base !== undefined && path.isAbsolute(base)
      ? base
      : path.join(env['HOME'] ?? homedir(), '.local/state');
  return path.join(dir, 'orchestra-cli');
}

/**
 * The newest checkpoint of each log that was seen, a file each, named after its size. Any number of
 * commands may keep theirs at the same time: a file that is there is never written again, the
 * largest counts, and so no older one ever takes the place of a newer one.
 */
export class CheckpointStore {
  readonly #dir: string;

  constructor(env: Env) {
    this.#dir = memoryDir(env);
  }

  /** Which log a socket served when it was last asked. */
  async servedBy(socket: string): Promise<string | undefined> {
    const file = this.#socketFile(socket);
    const text = await readIfThere(file);
    return text === undefined ? undefined : parse(ServedFile, text, file).origin;
  }

  async noteServed(socket: string, origin: string): Promise<void> {
    await this.#replace(this.#socketFile(socket), JSON.stringify({ socket, origin }));
  }

  /** Throws where what is kept cannot be read: damaging it must not be a way round it. */
  async newest(origin: string): Promise<Seen | undefined> {
    const dir = this.#logDir(origin);
    for (let tries = 0; ; tries += 1) {
      const name = (await namesIn(dir)).at(-1);
      if (name === undefined) return undefined;
      const file = path.join(dir, name);
      const text = await readIfThere(file);
      // Another command kept a newer one in between, and took this one away.
      if (text === undefined && tries < triesMax) continue;
      const { note, epoch, vkey } = parse(SeenFile, text ?? '', file);
      if (parseSignedCheckpoint(note)?.origin !== origin) throw unreadable(file);
      return { note, epoch, vkey };
    }
  }

  /** Answers what was there before of the same size, where that is another tree. */
  async keep(seen: Seen): Promise<Seen | undefined> {
    const checkpoint = parseSignedCheckpoint(seen.note);
    if (checkpoint === undefined) throw new Error('what is to be kept is no checkpoint');
    const dir = this.#logDir(checkpoint.origin);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const file = path.join(dir, `${String(checkpoint.size).padStart(16, '0')}.json`);
    const temporary = await writeBeside(file, JSON.stringify({ version: 1, ...seen }));
    try {
      await link(temporary, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const text = await readIfThere(file);
      const there = text === undefined ? undefined : parse(SeenFile, text, file);
      const other = there && parseSignedCheckpoint(there.note);
      if (there && other?.root.equals(checkpoint.root) === false) return there;
    } finally {
      await rm(temporary, { force: true });
    }
    const older = (await namesIn(dir)).slice(0, -1);
    await Promise.all(older.map((name) => rm(path.join(dir, name), { force: true })));
    return undefined;
  }

  /** What was known of a log is put aside; it begins anew here. */
  async forget(origin: string): Promise<void> {
    const dir = this.#logDir(origin);
    const aside = `${dir}.replaced-${Date.now()}-${randomBytes(3).toString('hex')}`;
    await rename(dir, aside).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }

  /** A text that somebody may hand over; answers where it lies. */
  async keepEvidence(text: string): Promise<string> {
    const dir = path.join(this.#dir, 'misbehaviour');
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const name = `${hash('sha256', text, 'hex').slice(0, 16)}.txt`;
    const file = path.join(dir, name);
    await this.#replace(file, text);
    return file;
  }

  #logDir(origin: string): string {
    return path.join(this.#dir, 'logs', hash('sha256', origin, 'hex'));
  }

  #socketFile(socket: string): string {
    return path.join(this.#dir, 'sockets', `${hash('sha256', socket, 'hex')}.json`);
  }

  async #replace(file: string, text: string): Promise<void> {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await rename(await writeBeside(file, text), file);
  }
}

const triesMax = 10;

/** Names of checkpoints, smallest size first. */
async function namesIn(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).filter((name) => /^\d{16}\.json$/.test(name)).toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function writeBeside(file: string, text: string): Promise<string> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  await writeFile(temporary, `${text}\n`, { mode: 0o600, flag: 'wx' });
  return temporary;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parse<T>(schema: z.ZodType<T>, text: string, file: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause?: unknown): OrchestraError {
  return new OrchestraError('config.invalid', `${file} cannot be read`, {
    hint: 'it remembers the checkpoint of a log that you have seen; mend or remove it',
    cause,
  });
}
