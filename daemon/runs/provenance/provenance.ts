import { hash, sign } from 'node:crypto';
import type { Logger } from 'pino';
import { attestationType, signedBytes } from '#contract/attestation.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest, RunId } from '#contract/ids.ts';
import { Envelope, ProvenanceStatement, type ProvenanceAnswer } from '#contract/provenance.ts';
import type { BlobStore } from '../../artifacts/blobs.ts';
import type { Key } from '../../audit/own-key.ts';
import type { AnyEntry, Log } from '../../audit/types.ts';
import { canonicalJson } from '../../base/canonical.ts';
import { loadPlan } from '../accept.ts';
import { isDone } from '../kept.ts';
import type { RunFacts } from '../state.ts';
import type { Attested } from './attested.ts';
import { recordsOf, type RunRecords } from './gather.ts';
import { statementsOf } from './statements.ts';

export type ProvenanceDeps = {
  log: Pick<Log, 'read' | 'appendAll' | 'blocked' | 'origin'>;
  blobs: BlobStore;
  attested: Attested;
  /** Of the tree over the first so many records. */
  rootAt: (size: number) => Promise<Buffer>;
  key(): Promise<Key>;
  logger: Pick<Logger, 'warn'>;
};

type Signed = { line: string; envelope: Envelope; statement: ProvenanceStatement };

const bundleBytesMax = 256 * 1024 * 1024;
const linesPerBatch = 256;

/**
 * Signs how the artifacts of a closed run came to be. It is done behind the run's back once it is
 * closed, one run after the other, and on request where that did not come to pass. The statements
 * are on record before anybody gets them, each artifact with the digest of its own.
 */
export class Provenance {
  readonly #deps: ProvenanceDeps;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: ProvenanceDeps) {
    this.#deps = deps;
  }

  /** Never rejects, and nobody waits: whoever asks later gets it all the same. */
  attest(run: RunFacts): void {
    if (!leftSomething(run)) return;
    this.#next(async () => {
      if (this.#deps.log.blocked === undefined) await this.#made(run);
    }).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error, run: run.id }, 'its artifacts could not be attested');
    });
  }

  get attested(): Attested {
    return this.#deps.attested;
  }

  /** Of one artifact, named `TASK/NAME` or by its name where that is clear, or of all. */
  async of(run: RunFacts, artifact?: string): Promise<ProvenanceAnswer> {
    if (run.closedAt === undefined) {
      throw new OrchestraError('run.conflict', `${run.id} is not over yet`, {
        hint: `orchestra wait ${run.id}`,
      });
    }
    const { bundle, signed } = await this.#next(() => this.#made(run));
    const chosen = artifact === undefined ? signed : [only(signed, artifact, run.id)];
    return { run: run.id, bundle, envelopes: chosen.map(({ envelope }) => envelope) };
  }

  key(): Promise<Key> {
    return this.#deps.key();
  }

  /** What was begun is over. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #next<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #made(run: RunFacts): Promise<{ bundle: Digest; signed: Signed[] }> {
    const known = this.#deps.attested.bundleOf(run.id);
    const kept = known === undefined ? undefined : await this.#kept(known);
    if (known !== undefined && kept !== undefined) return { bundle: known, signed: kept };
    const key = await this.#deps.key();
    const signed = (await this.#statements(run)).map((each) => signedBy(key, each));
    const [first, ...rest] = signed;
    if (first === undefined) {
      throw new OrchestraError('artifact.unknown', `${run.id} left no artifact to attest`, {
        hint: `orchestra show ${run.id}`,
      });
    }
    const content = Buffer.from([first, ...rest].map(({ line }) => `${line}\n`).join(''));
    // What is on record of it can be made again from the record.
    const put = { maxBytes: bundleBytesMax, isRemade: true };
    const { digest: bundle } = await this.#deps.blobs.put(content, put);
    if (bundle !== known) await this.#record(run.id, bundle, key, rest);
    return { bundle, signed };
  }

  /** As it was recorded; nothing where the blob is gone, with a prune or with the power. */
  async #kept(bundle: Digest): Promise<Signed[] | undefined> {
    try {
      const bytes = await this.#deps.blobs.read(bundle, { maxBytes: bundleBytesMax });
      return bytes
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map(parsed);
    } catch (error) {
      const gone: readonly string[] = ['blob.unknown', 'blob.damaged'];
      if (error instanceof OrchestraError && gone.includes(error.code)) return undefined;
      throw error;
    }
  }

  async #statements(facts: RunFacts): Promise<ProvenanceStatement[]> {
    const { log, rootAt } = this.#deps;
    const run = await recordsOf({ log, rootAt }, facts.id);
    if (run === undefined)
      throw new OrchestraError('internal.bug', `${facts.id} is not in the log`);
    const earlier = new Map<string, RunRecords>();
    for (const { cached } of run.tasks.values()) {
      if (cached === undefined || earlier.has(cached.from_run)) continue;
      const found = await recordsOf({ log, rootAt }, cached.from_run);
      if (found !== undefined) earlier.set(cached.from_run, found);
    }
    // Throws where it is gone: then nobody can say any more what was built.
    const plan = facts.plan === undefined ? undefined : await loadPlan(this.#deps, facts.plan);
    return statementsOf({ origin: log.origin, run, plan, earlier });
  }

  async #record(run: RunId, bundle: Digest, key: Key, signed: readonly Signed[]): Promise<void> {
    const entries = signed.flatMap(({ line, statement }): AnyEntry[] => {
      const envelope: Digest = `sha256:${hash('sha256', line, 'hex')}`;
      return statement.subject.map(({ name, digest }) => {
        const slash = name.indexOf('/');
        return {
          type: 'artifact.attested',
          obj: { run, task: name.slice(0, slash) },
          data: {
            name: name.slice(slash + 1),
            sha256: digest.sha256,
            envelope,
            bundle,
            key: key.id,
          },
        };
      });
    });
    for (let at = 0; at < entries.length; at += linesPerBatch) {
      await this.#deps.log.appendAll(entries.slice(at, at + linesPerBatch));
    }
  }
}

function leftSomething(run: RunFacts): boolean {
  return [...run.tasks.values()].some((task) => isDone(task) && task.artifacts.length > 0);
}

function signedBy(key: Key, statement: ProvenanceStatement): Signed {
  const payload = Buffer.from(canonicalJson(statement));
  const envelope: Envelope = {
    payloadType: attestationType,
    payload: payload.toString('base64'),
    signatures: [
      {
        keyid: key.id,
        sig: sign(null, signedBytes(attestationType, payload), key.secret).toString('base64'),
      },
    ],
    publicKey: key.spki.toString('base64'),
  };
  return { line: canonicalJson(envelope), envelope, statement };
}

function parsed(line: string): Signed {
  const envelope = Envelope.parse(JSON.parse(line));
  const payload: unknown = JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8'));
  return { line, envelope, statement: ProvenanceStatement.parse(payload) };
}

/** The statement about the task that left it, not the one about the whole run. */
function only([, ...tasks]: readonly Signed[], wanted: string, run: string): Signed {
  const named = (name: string) => name === wanted || name.slice(name.indexOf('/') + 1) === wanted;
  const found = tasks.filter(({ statement }) => statement.subject.some(({ name }) => named(name)));
  const [one] = found;
  if (one !== undefined && found.length === 1) return one;
  const names = tasks.flatMap(({ statement }) => statement.subject.map(({ name }) => name));
  throw new OrchestraError(
    'artifact.unknown',
    one === undefined
      ? `${run} left no artifact ${wanted.slice(0, 128)}`
      : `Several artifacts of ${run} are named ${wanted.slice(0, 128)}`,
    { hint: `there are: ${names.join(', ').slice(0, 500)}` },
  );
}
