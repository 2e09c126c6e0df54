import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { SubjectId } from '#contract/ids.ts';
import type { Actor, AnyRecord } from '#contract/records.ts';
import { newRequestId } from '../../base/ids.ts';
import type { Log } from '../types.ts';
import { absent } from './files.ts';
import { accountName, identityOf, isSubject, type Person } from './people.ts';
import type { Opened } from './seal.ts';
import { destroySubject, Subject, type VaultPlaces } from './subject.ts';

export type VaultOptions = {
  stateDir: string;
  erasures: Erasures;
  /** The name of a hold that forbids to erase anything now. */
  heldBy?: (() => string | undefined) | undefined;
  /** The name of a user of this machine; a seam for tests. */
  nameOf?: ((uid: number) => Promise<string | undefined>) | undefined;
};

/** What the log has of a text: the words themselves, as it once did, or a commitment to them. */
export type Said = { text: string } | { commitment: string; subject: SubjectId };

export const erasedWords = '(erased)';
export const missingWords = '(not in the vault)';

const subjectsMax = 10_000;

/** Which subjects were erased, or are to be, and up to where the log was pruned: a fold over it. */
export class Erasures {
  prunedTo = 0;
  readonly #subjects = new Map<SubjectId, { over: boolean; req: string }>();

  fold(record: AnyRecord): void {
    if (record.type === 'log.pruned') this.prunedTo = Math.max(this.prunedTo, record.data.to_seq);
    if (record.type !== 'data.erased') return;
    const over = record.stage === 'result' && record.outcome === 'ok';
    const before = this.#subjects.get(record.data.subject);
    this.#subjects.set(record.data.subject, {
      over: over || before?.over === true,
      req: record.req ?? '',
    });
  }

  /** From when it is on record that it will be. */
  has(subject: SubjectId): boolean {
    return this.#subjects.has(subject);
  }

  /** Those that a daemon began with and did not come to the end of. */
  unfinished(): { subject: SubjectId; req: string }[] {
    const all = [...this.#subjects].map(([subject, each]) => ({ subject, ...each }));
    return all.filter(({ over }) => !over);
  }
}

/**
 * What people said and who they are, apart from the log and erasable: each subject has a key of its
 * own, kept in another folder than what it encrypts, and destroying the key erases the subject
 * while every hash of the log still holds.
 *
 * `keep` resolves once the value is durable: the record with its commitment comes after. Callers
 * are given a subject when they are first seen; one that was erased is given another.
 */
export class Vault {
  readonly #places: VaultPlaces;
  readonly #erasures: Erasures;
  readonly #nameOf: (uid: number) => Promise<string | undefined>;
  readonly #heldBy: () => string | undefined;
  readonly #subjects = new Map<SubjectId, Subject>();
  /** By what tells callers apart. */
  readonly #callers = new Map<string, Promise<Subject>>();

  private constructor(options: VaultOptions) {
    const { stateDir, erasures, nameOf = accountName, heldBy = () => undefined } = options;
    this.#places = { vault: join(stateDir, 'vault'), keys: join(stateDir, 'keys', 'vault') };
    this.#erasures = erasures;
    this.#nameOf = nameOf;
    this.#heldBy = heldBy;
  }

  /** After the log is open: what was to be erased and is not, is erased now. */
  static async open(options: VaultOptions, log: Pick<Log, 'append'>): Promise<Vault> {
    const vault = new Vault(options);
    for (const { subject, req } of options.erasures.unfinished()) {
      await vault.#destroy(subject, log, { req, reason: 'resumed at start' });
    }
    const found = (await readdir(vault.#places.vault).catch(absent)) ?? [];
    for (const name of found.slice(0, subjectsMax)) {
      if (!isSubject(name) || options.erasures.has(name)) continue;
      const subject = await Subject.open(vault.#places, name);
      if (subject === undefined) continue;
      vault.#subjects.set(name, subject);
      vault.#callers.set(subject.person.is, Promise.resolve(subject));
    }
    return vault;
  }

  /**
   * What only records had that were pruned goes as well, once after each prune. Call it before
   * anybody's words are kept.
   */
  async sweep(stillSaid: () => ReadonlySet<string>): Promise<void> {
    const { prunedTo } = this.#erasures;
    const mark = join(this.#places.vault, 'swept');
    const swept = Number(await readFile(mark, 'utf8').catch(absent));
    if (prunedTo === 0 || swept >= prunedTo) return;
    const said = stillSaid();
    for (const subject of this.#subjects.values()) {
      await subject.sweep((commitment) => said.has(commitment));
    }
    // Where it is lost, the same is done once more.
    await writeFile(mark, String(prunedTo), { mode: 0o600 }).catch(absent);
  }

  /** The caller as the log may name it: by a subject. */
  async actor(actor: Actor): Promise<Actor> {
    if (actor.kind !== 'user' || this.#isAlive(actor.name)) return actor;
    return { ...actor, name: (await this.#subjectOf(actor)).id };
  }

  /** A text of a caller that `actor` answered. */
  async keep(actor: Actor, text: string): Promise<{ commitment: string; subject: SubjectId }> {
    const { name } = await this.actor(actor);
    const subject = this.#subjects.get(name as SubjectId);
    if (subject === undefined) throw new OrchestraError('internal.bug', 'It is nobody’s text');
    return { commitment: await subject.keep(text.toWellFormed()), subject: subject.id };
  }

  /** For people to read. Never throws because of what is gone. */
  async words(said: Said): Promise<string> {
    if ('text' in said) return said.text;
    if (this.#erasures.has(said.subject)) return erasedWords;
    return (await this.find(said))?.value ?? missingWords;
  }

  /** Who it was, for people to read: `name` is what a record calls an actor. */
  nameOf(name: string): string {
    if (!isSubject(name)) return name;
    if (this.#erasures.has(name)) return erasedWords;
    const person = this.#subjects.get(name)?.person;
    return person?.name ?? (person?.uid === undefined ? name : `uid:${person.uid}`);
  }

  async find(said: { commitment: string; subject: SubjectId }): Promise<Opened | undefined> {
    if (this.#erasures.has(said.subject)) return undefined;
    return this.#subjects.get(said.subject)?.find(said.commitment);
  }

  /**
   * The same question about actors, where it names a person as the log does: by a subject. So nobody's
   * name gets into the log by being searched for.
   */
  asked<Q extends { actor?: string | undefined }>(query: Q): Q {
    const found = this.people().filter(({ person: { name } }) => name === query.actor);
    const [one] = found;
    return query.actor === undefined || one === undefined || found.length > 1
      ? query
      : { ...query, actor: one.subject };
  }

  isErased(subject: SubjectId): boolean {
    return this.#erasures.has(subject);
  }

  /** Those that are not erased, with whom they stand for. */
  people(): { subject: SubjectId; person: Person }[] {
    return [...this.#subjects.values()]
      .filter(({ id }) => !this.#erasures.has(id))
      .map(({ id, person }) => ({ subject: id, person }));
  }

  /**
   * On record first, then done; a daemon that dies in between does it at its next start. Safe to
   * repeat. Throws `data.unknown` for a subject that this vault does not have, `data.held` where
   * somebody holds the log.
   */
  async erase(
    reference: string,
    reason: string,
    { log, actor }: { log: Pick<Log, 'append'>; actor: Actor },
  ): Promise<SubjectId> {
    const subject = this.#named(reference);
    const hold = this.#heldBy();
    if (hold !== undefined) {
      throw new OrchestraError(
        'data.held',
        `Nothing is erased while the hold ${hold} is in force`,
        {
          hint: 'orchestra audit hold list',
        },
      );
    }
    const req = newRequestId();
    await log.append({
      type: 'data.erased',
      stage: 'intent',
      sev: 'warn',
      req,
      // Somebody may be erasing what there is of himself.
      actor: actor.name === subject ? withoutName(actor) : actor,
      data: { subject, reason },
    });
    await this.#destroy(subject, log, { req, reason });
    return subject;
  }

  async close(): Promise<void> {
    for (const subject of this.#subjects.values()) await subject.close();
  }

  #named(reference: string): SubjectId {
    const found = this.people().filter(
      ({ subject, person: { is, name } }) =>
        subject === reference || is === reference || name === reference,
    );
    const [one] = found;
    if (one !== undefined && found.length === 1) return one.subject;
    throw new OrchestraError(
      'data.unknown',
      one === undefined ? 'The vault has no such subject' : 'Several subjects are named so',
      { hint: 'orchestra audit subjects' },
    );
  }

  async #destroy(
    subject: SubjectId,
    log: Pick<Log, 'append'>,
    { req, reason }: { req: string; reason: string },
  ): Promise<void> {
    const entry = { type: 'data.erased', stage: 'result', req, data: { subject, reason } } as const;
    try {
      await this.#subjects.get(subject)?.forget();
      await destroySubject(this.#places, subject);
    } catch (error) {
      // It is to be erased all the same: the next start tries again.
      await log.append({ ...entry, outcome: 'failed', sev: 'alert' });
      throw new OrchestraError('audit.unavailable', 'The key could not be destroyed', {
        hint: 'look at the disk of the state directory; the next start tries again',
        cause: error,
      });
    }
    this.#subjects.delete(subject);
    await log.append({ ...entry, sev: 'warn' });
  }

  #isAlive(name: string | undefined): boolean {
    return isSubject(name) && this.#subjects.has(name) && !this.#erasures.has(name);
  }

  async #subjectOf(actor: Actor): Promise<Subject> {
    const is = identityOf(isSubject(actor.name) ? withoutName(actor) : actor);
    const under = this.#callers.get(is);
    if (under !== undefined) {
      const known = await under;
      if (!this.#erasures.has(known.id)) return known;
      // The first to find it erased makes the next one; the others find that.
      if (this.#callers.get(is) === under) this.#callers.delete(is);
      return this.#subjectOf(actor);
    }
    const made = this.#make(is, actor);
    this.#callers.set(is, made);
    // Whoever comes next tries again.
    made.catch(() => this.#callers.delete(is));
    return made;
  }

  async #make(is: string, { uid, name }: Actor): Promise<Subject> {
    if (this.#subjects.size >= subjectsMax) {
      throw new OrchestraError('audit.unavailable', `The vault has ${subjectsMax} subjects`);
    }
    const id = SubjectId.parse(`subj_${randomBytes(8).toString('hex')}`);
    const said = isSubject(name) ? undefined : name;
    const called = said ?? (uid === undefined ? undefined : await this.#nameOf(uid));
    const subject = await Subject.make(this.#places, id, {
      person: 1,
      is,
      ...(uid === undefined ? {} : { uid }),
      ...(called === undefined ? {} : { name: called.toWellFormed() }),
    });
    this.#subjects.set(id, subject);
    return subject;
  }
}

function withoutName({ name: _name, ...actor }: Actor): Actor {
  return actor;
}
