import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { pack, type Pack } from 'tar-stream';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor, AnyRecord, RecordData } from '#contract/records.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import { verifyLog } from '#verifier/verify.ts';
import type { Attester } from '../attest.ts';
import { csvHead, csvRow } from '../export/csv.ts';
import type { LogIndex } from '../index-db.ts';
import type { Checkpoints } from '../tree/types.ts';
import type { Log } from '../types.ts';
import { Actors } from './actors.ts';
import { notesBetween } from './checkpoints.ts';
import { Continuity } from './continuity.ts';
import { criteriaText } from './criteria.ts';
import { PolicyVersions } from './policies.ts';
import { Population } from './population.ts';
import { segmentsOfTime } from './range.ts';
import { EvidenceRuns } from './runs.ts';
import { Spool, type Spooled } from './spool.ts';
import { isAlert, isChange, isDecision } from './which.ts';

export type EvidenceDeps = {
  /** The log's folder. */
  dir: string;
  log: Pick<Log, 'read' | 'append' | 'assertRoom' | 'segments' | 'size' | 'first' | 'origin'>;
  index: Pick<LogIndex, 'query'>;
  checkpoints: Checkpoints;
  attester: Pick<Attester, 'attest'>;
  /** What was let go last. */
  pruned: () => (RecordData<'log.pruned'> & { seq: number }) | undefined;
  version: string;
  now: () => number;
};

/** UTC milliseconds, both inclusive. */
export type EvidenceTime = { from: number; to: number };

const format = 'orchestra-evidence/1';
const prefix = 'evidence-';
/** Runs that began before the time have their first record looked up, so many at most. */
const lookedUpMax = 10_000;
const verifyChunkBytes = 256 * 1024;
const yieldRecords = 2_048;

/**
 * What the log says of a time, counted and listed from the segments themselves, for whoever examines
 * it: complete populations, lists to draw samples from, how whole the log is and what signs it. One at
 * a time. On record, with the digest of its manifest, before a byte leaves.
 */
export class Evidence {
  readonly #deps: EvidenceDeps;
  /** Bundles that are being read by whoever asked. */
  readonly #going = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: EvidenceDeps) {
    this.#deps = deps;
  }

  /** A tar. What it is made of lies beside the log until the stream ends, or until the next one. */
  make(time: EvidenceTime, actor: Actor): Promise<Readable> {
    if (time.from > time.to) {
      throw new OrchestraError('request.invalid', 'The time ends before it begins');
    }
    const made = this.#last.then(
      () => this.#make(time, actor),
      () => this.#make(time, actor),
    );
    this.#last = made;
    return made;
  }

  async #make(time: EvidenceTime, actor: Actor): Promise<Readable> {
    const { dir, log, checkpoints, attester, version, now } = this.#deps;
    for (const name of await readdir(dir)) {
      if (!name.startsWith(prefix) || this.#going.has(join(dir, name))) continue;
      await rm(join(dir, name), { recursive: true, force: true });
    }
    await log.assertRoom();
    const folder = await mkdtemp(join(dir, prefix));
    this.#going.add(folder);
    try {
      const checkpoint = await checkpoints.sign();
      const found = await this.#read(folder, time, checkpoint.size);
      const files = [...found.files];
      const put = async (name: string, text: string) => files.push(await whole(folder, name, text));
      const { population, first, last } = found;
      await put('checkpoint', spellNote(checkpoint.note));
      files.push(await this.#notes(folder, { first, last: last + 1 }));
      const keys = checkpoints.keys.filter(({ seq }) => seq < checkpoint.size);
      await put('keys.json', spell(keys.map(({ epoch, vkey, seq }) => ({ epoch, vkey, seq }))));
      const verdict = await verifyLog(dir, {
        upTo: checkpoint.size,
        keys: keys.map(({ vkey }) => vkey),
        chunkBytes: verifyChunkBytes,
      });
      await put('verify.json', spell(verdict));
      await put('criteria.md', criteriaText(population));
      const query = { from: timeOf(time.from), to: timeOf(time.to) };
      const pruned = this.#deps.pruned();
      const isCut = pruned !== undefined && Date.parse(pruned.until) >= time.from;
      const root = checkpoint.root.toString('base64');
      const manifest = spell({
        format,
        origin: log.origin,
        query,
        records: population.records,
        ...(population.records === 0 ? {} : { first_seq: first, last_seq: last }),
        complete: !isCut,
        ...(isCut && {
          pruned: {
            records_before: pruned.to_seq,
            until: pruned.until,
            by_record: pruned.seq,
            note: 'what was recorded up to then is not here and not counted',
          },
        }),
        tree_size: checkpoint.size,
        root,
        version,
        time: timeOf(now()),
        files: Object.fromEntries(files.map(({ name, sha256 }) => [name, sha256])),
      });
      const digest = hash('sha256', manifest, 'hex');
      await log.append({
        type: 'evidence.made',
        actor,
        data: {
          ...query,
          records: population.records,
          tree_size: checkpoint.size,
          root,
          manifest: digest,
        },
      });
      await put('manifest.json', manifest);
      const subject = { name: 'manifest.json', sha256: digest };
      const signed = await attester.attest({ kind: 'audit.evidence', files: [subject] }, actor);
      await put('attestation.json', spell(signed));
      return tarOf(files, () => this.#remove(folder));
    } catch (error) {
      await this.#remove(folder);
      throw error;
    }
  }

  async #remove(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true });
    this.#going.delete(folder);
  }

  /** One pass over the records of the time, straight from the segments. */
  async #read(folder: string, time: EvidenceTime, size: number) {
    const { log } = this.#deps;
    const population = new Population();
    const continuity = new Continuity(time);
    const [policies, runs, actors] = [new PolicyVersions(), new EvidenceRuns(), new Actors()];
    for (const record of await this.#policiesBefore(time.from)) policies.add(record);
    const lists = [
      { spool: await Spool.open(folder, 'changes.csv'), isIn: isChange },
      { spool: await Spool.open(folder, 'decisions.csv'), isIn: isDecision },
      { spool: await Spool.open(folder, 'alerts.csv'), isIn: isAlert },
    ];
    for (const { spool } of lists) spool.add(`${csvHead()}\r\n`);
    let [first, last] = [-1, -1];
    const range = await segmentsOfTime(log, time);
    for await (const line of log.read({ from: range.first, to: Math.min(range.end, size) })) {
      const record = line.record as AnyRecord;
      if (record.seq % yieldRecords === 0) await turn();
      const at = Date.parse(record.ts);
      if (at < time.from || at > time.to) continue;
      if (first === -1) first = record.seq;
      last = record.seq;
      for (const each of [population, continuity, actors]) each.add(record);
      policies.add(record);
      runs.add(record);
      for (const { spool, isIn } of lists) {
        if (!isIn(record)) continue;
        spool.add(`${csvRow(line)}\r\n`);
        await spool.settle();
      }
    }
    await this.#lookUp(runs);
    const files = [
      await whole(folder, 'population.csv', population.csv()),
      await whole(folder, 'population.json', spell(population.rows())),
      await whole(folder, 'policies.json', spell(policies.all())),
      await whole(folder, 'actors.csv', actors.csv()),
      await whole(folder, 'runs.csv', runs.csv()),
      await whole(folder, 'continuity.json', spell(continuity.finish(this.#deps.now()))),
    ];
    for (const { spool } of lists) files.push(await spool.finish());
    return { population, files, first, last };
  }

  /** What the daemon that was there at the beginning had loaded when it started. */
  async #policiesBefore(from: number): Promise<AnyRecord[]> {
    const { index } = this.#deps;
    const until = from - 1;
    const ask = async (type: string, limit: number) =>
      (await index.query({ type, until, order: 'newest', limit })).lines.map(
        ({ record }) => record as AnyRecord,
      );
    const [started] = await ask('daemon.started', 1);
    const said = [await ask('policy.loaded', 200), await ask('policy.removed', 200)].flat();
    return said.filter(({ seq }) => seq > (started?.seq ?? -1)).toSorted((a, b) => a.seq - b.seq);
  }

  async #lookUp(runs: EvidenceRuns): Promise<void> {
    const { index } = this.#deps;
    const begun = runs.all().filter(({ submitted_at }) => submitted_at === undefined);
    for (const run of begun.slice(0, lookedUpMax)) {
      for (const type of ['run.submitted', 'run.accepted']) {
        const { lines } = await index.query({ run: run.run, type, limit: 1 });
        for (const { record } of lines) runs.tell(run, record as AnyRecord);
      }
    }
  }

  async #notes(folder: string, range: { first: number; last: number }): Promise<Spooled> {
    const spool = await Spool.open(folder, 'checkpoints.txt');
    for await (const note of notesBetween(this.#deps.dir, range)) {
      spool.add(`${note}\n`);
      await spool.settle();
    }
    return spool.finish();
  }
}

async function whole(
  folder: string,
  name: string,
  text: string | Iterable<string>,
): Promise<Spooled> {
  const spool = await Spool.open(folder, name);
  for (const part of typeof text === 'string' ? [text] : text) {
    spool.add(part);
    await spool.settle();
  }
  return spool.finish();
}

function tarOf(files: readonly Spooled[], finish: () => Promise<void>): Readable {
  const tar = pack();
  void fill(tar, files)
    .catch((cause: unknown) => tar.destroy(cause as Error))
    .then(finish)
    .catch(() => undefined);
  return tar as unknown as Readable;
}

async function fill(tar: Pack, files: readonly Spooled[]): Promise<void> {
  for (const { name, path, bytes: size } of files) {
    const sink = tar.entry({ name, size, mode: 0o644, mtime: new Date('2000-01-01T00:00:00Z') });
    await pipeline(createReadStream(path), sink);
  }
  tar.finalize();
}

function spell(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
