import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { SubjectId } from '#contract/ids.ts';
import { commitmentOf, saltBytes } from '#verifier/commitment.ts';
import { absent, destroyFile, openOwn, ownFolder, removeFolder, writeNew } from './files.ts';
import { Person } from './people.ts';
import { seal, unseal, type Opened } from './seal.ts';
import { ValuesFile } from './values-file.ts';

const keyBytes = 32;
const valueBytesMax = 16 * 1024;
const rememberedMax = 2_048;

export type VaultPlaces = { vault: string; keys: string };

/** What the vault holds of one subject. Its first value says whom it stands for. */
export class Subject {
  readonly id: SubjectId;
  readonly person: Person;
  readonly #key: Buffer;
  readonly #values: ValuesFile;
  /** The words of the newest runs are asked for again and again. */
  readonly #remembered = new Map<string, Opened>();

  private constructor(id: SubjectId, key: Buffer, values: ValuesFile, person: Person) {
    this.id = id;
    this.person = person;
    this.#key = key;
    this.#values = values;
  }

  /** Key, folder and person are durable when it returns. */
  static async make(places: VaultPlaces, id: SubjectId, person: Person): Promise<Subject> {
    const key = randomBytes(keyBytes);
    const { folder, file, keyFile } = placesOf(places, id);
    await ownFolder(places.keys);
    await ownFolder(places.vault);
    await writeNew(keyFile, key);
    await ownFolder(folder);
    await writeNew(file, new Uint8Array());
    const subject = new Subject(id, key, new ValuesFile(file), person);
    await subject.keep(JSON.stringify(person));
    return subject;
  }

  /** Nothing where its key or its person is not there, or not what they were. */
  static async open(places: VaultPlaces, id: SubjectId): Promise<Subject | undefined> {
    const { file, keyFile } = placesOf(places, id);
    const key = await readKey(keyFile);
    if (key === undefined) return undefined;
    const values = new ValuesFile(file);
    const first = await values.first();
    const said = first && unseal({ key, subject: id }, first);
    const person = Person.safeParse(said && parse(said.value));
    return person.success ? new Subject(id, key, values, person.data) : undefined;
  }

  /** Answers the commitment once the value is durable. */
  async keep(value: string): Promise<string> {
    if (Buffer.byteLength(value) > valueBytesMax || !value.isWellFormed()) {
      throw new OrchestraError('internal.bug', 'The vault takes no such value');
    }
    const salt = randomBytes(saltBytes);
    const commitment = commitmentOf(salt, value);
    const opened = { salt, value };
    await this.#values.append(seal(this.#about, commitment, opened));
    this.#remember(commitment, opened);
    return commitment;
  }

  /** What a commitment stands for; nothing where there is no such value, or it was changed. */
  async find(commitment: string): Promise<Opened | undefined> {
    const known = this.#remembered.get(commitment);
    if (known !== undefined) return known;
    const sealed = await this.#values.find(commitment);
    const opened = sealed && unseal(this.#about, sealed);
    if (opened === undefined || commitmentOf(opened.salt, opened.value) !== commitment) {
      return undefined;
    }
    this.#remember(commitment, opened);
    return opened;
  }

  async sweep(isKept: (commitment: string) => boolean): Promise<number> {
    return this.#values.sweep(isKept);
  }

  async close(): Promise<void> {
    await this.#values.close();
  }

  /** Forgets everything; what was on the way to the disk is refused. */
  async forget(): Promise<void> {
    await this.#values.end(new OrchestraError('data.erased', 'What it held is erased'));
    this.#remembered.clear();
    this.#key.fill(0);
  }

  get #about(): { key: Buffer; subject: string } {
    return { key: this.#key, subject: this.id };
  }

  #remember(commitment: string, opened: Opened): void {
    this.#remembered.delete(commitment);
    this.#remembered.set(commitment, opened);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > rememberedMax && oldest !== undefined) {
      this.#remembered.delete(oldest);
    }
  }
}

/** The key first: without it the rest says nothing, wherever copies of it are. Safe to repeat. */
export async function destroySubject(places: VaultPlaces, id: SubjectId): Promise<void> {
  const { folder, file, keyFile } = placesOf(places, id);
  await destroyFile(keyFile);
  await removeFolder(folder, [file, `${file}.new`]);
}

function placesOf({ vault, keys }: VaultPlaces, id: SubjectId) {
  const folder = join(vault, id);
  return { folder, file: join(folder, 'values.jsonl'), keyFile: join(keys, `${id}.key`) };
}

async function readKey(path: string): Promise<Buffer | undefined> {
  const file = await openOwn(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(absent);
  if (file === undefined) return undefined;
  await using handle = file;
  const { size, mode } = await handle.stat();
  const isOwn = (mode & constants.S_IFMT) === constants.S_IFREG && (mode & 0o077) === 0;
  return isOwn && size === keyBytes ? await handle.readFile() : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
