import type { Readable } from 'node:stream';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import { zeroHash } from '#verifier/limits.ts';
import { spellProof } from '#verifier/tlog/checkpoint.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import type { LogIndex, Place } from '../index-db.ts';
import { readLines } from '../reading/read-lines.ts';
import type { Checkpoints } from '../tree/types.ts';
import type { Log, LogLine } from '../types.ts';
import { EpochRows } from './epoch-rows.ts';
import { proofLineBytes } from './proof-bytes.ts';
import { bundleTar, type BundleFile } from './tar.ts';

export type ExtractorDeps = {
  /** The log's folder. */
  dir: string;
  log: Pick<Log, 'append' | 'runState' | 'origin'>;
  index: Pick<LogIndex, 'placesOfRun' | 'find' | 'query'>;
  checkpoints: Checkpoints;
  version: string;
  now: () => number;
};

/** Lines and proofs are handed on in blocks of this size. */
const blockBytes = 64 * 1024;

/**
 * Every record of a run, each with the proof that it is in the log as it was signed: what somebody
 * who trusts neither daemon nor machine needs to check the run, and nothing of any other run. It is
 * on record who took it before the first byte leaves.
 */
export class Extractor {
  readonly #deps: ExtractorDeps;
  readonly #epochs: EpochRows;

  constructor(deps: ExtractorDeps) {
    this.#deps = deps;
    this.#epochs = new EpochRows(deps);
  }

  async extract(run: string, actor: Actor): Promise<Readable> {
    const { log, index, checkpoints, version, now } = this.#deps;
    const complete = log.runState(run)?.closed === true;
    const places = await index.placesOfRun(run);
    const [first, last] = [places[0], places.at(-1)];
    if (first === undefined || last === undefined) {
      throw new OrchestraError('run.unknown', `The log holds no record of ${run}`, {
        hint: 'its records may have been pruned: orchestra audit list --type log.pruned',
      });
    }
    const checkpoint = await checkpoints.sign(last.seq + 1);
    const epochs = await this.#epochs.upTo(checkpoint);
    const { size } = checkpoint;
    await log.append({
      type: 'log.extracted',
      actor,
      obj: { run },
      data: {
        records: places.length,
        first_seq: first.seq,
        last_seq: last.seq,
        tree_size: size,
        complete,
      },
    });
    const about = {
      format: 'orchestra-extract/1',
      origin: log.origin,
      run,
      complete,
      records: places.length,
      first_seq: first.seq,
      last_seq: last.seq,
      tree_size: size,
      root: checkpoint.root.toString('base64'),
      version,
      time: new Date(now()).toISOString(),
    };
    return bundleTar(
      [
        {
          name: 'records.jsonl',
          bytes: places.reduce((sum, { length }) => sum + length + 1, 0),
          content: this.#records(run, places),
        },
        {
          name: 'proofs.jsonl',
          bytes: places.reduce((sum, { seq }) => sum + proofLineBytes(seq, size), 0),
          content: this.#proofs(places, size),
        },
        whole('checkpoint', spellNote(checkpoint.note)),
        whole('epochs.jsonl', epochs.map((epoch) => `${JSON.stringify(epoch)}\n`).join('')),
      ],
      (files) => `${JSON.stringify({ ...about, files }, null, 2)}\n`,
    );
  }

  async *#records(run: string, places: readonly Place[]): AsyncGenerator<Buffer> {
    let block = '';
    let previous: LogLine | undefined;
    for await (const { place, line } of readLines(this.#deps.dir, places)) {
      if (line === undefined || line.hash !== place.hash || !follows(previous, line, run)) {
        throw new OrchestraError(
          'audit.broken',
          `Record ${place.seq} of ${run} is not what was written, or one before it is missing`,
          { hint: 'orchestra audit verify' },
        );
      }
      previous = line;
      block += `${line.line}\n`;
      if (block.length < blockBytes) continue;
      yield Buffer.from(block);
      block = '';
    }
    yield Buffer.from(block);
  }

  async *#proofs(places: readonly Place[], size: number): AsyncGenerator<Buffer> {
    const { tree } = this.#deps.checkpoints;
    let block = '';
    // One after the other: neighbours share the tiles that the tree keeps at hand.
    for (const { seq } of places) {
      const proof = spellProof(await tree.inclusion(seq, size));
      block += `${JSON.stringify({ proof, seq })}\n`;
      if (block.length < blockBytes) continue;
      yield Buffer.from(block);
      block = '';
    }
    yield Buffer.from(block);
  }
}

/** Whether a line is the next of its run, or the first that is left of it. */
function follows(previous: LogLine | undefined, { record }: LogLine, run: string): boolean {
  const { rseq, rprev } = record;
  if (record.run !== run || rseq === undefined) return false;
  if (previous === undefined) return rseq > 0 || rprev === zeroHash;
  return rseq === (previous.record.rseq ?? 0) + 1 && rprev === previous.hash;
}

function whole(name: string, text: string): BundleFile {
  const content = Buffer.from(text);
  return { name, bytes: content.length, content: [content] };
}
