import { isUtf8 } from 'node:buffer';
import {
  parseProof,
  parseSignedCheckpoint,
  parseSize,
  type SignedCheckpoint,
} from '#verifier/tlog/checkpoint.ts';
import { emptyRoot, isConsistent, type Proof } from '#verifier/tlog/merkle.ts';
import { signedBy, spellNote, spellSignature, type VerifierKey } from '#verifier/tlog/note.ts';
import { cosignNote, type NoteKey } from '../signer/sign-note.ts';
import type { LatestFiles } from './latest-files.ts';

export type Answer = { status: number; text: string; type?: string };

export type WitnessOptions = {
  key: NoteKey;
  /** Whose checkpoints are taken; the name of a key is the origin of its log. */
  logs: readonly VerifierKey[];
  latest: LatestFiles;
  /** Seconds since 1970. */
  now?: () => number;
};

/**
 * Signs that a log only ever grew: C2SP tlog-witness. Calls for one origin are answered one after
 * the other, each from what the one before left on disk.
 */
export class Witness {
  readonly #key: NoteKey;
  readonly #logs = new Map<string, VerifierKey[]>();
  readonly #latest: LatestFiles;
  readonly #now: () => number;
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor({ key, logs, latest, now }: WitnessOptions) {
    this.#key = key;
    this.#latest = latest;
    this.#now = now ?? (() => Math.floor(Date.now() / 1000));
    for (const log of logs) this.#logs.set(log.name, [...(this.#logs.get(log.name) ?? []), log]);
  }

  async addCheckpoint(body: Buffer): Promise<Answer> {
    const request = parseRequest(body);
    if (request === undefined) return say(400, 'not an add-checkpoint request');
    const { origin } = request.checkpoint;
    const keys = this.#logs.get(origin);
    if (keys === undefined) return say(404, 'unknown origin');
    const turn = (this.#turns.get(origin) ?? Promise.resolve()).then(() =>
      this.#judge(request, keys),
    );
    this.#turns.set(
      origin,
      turn.catch(() => undefined),
    );
    return turn;
  }

  /** The newest cosigned checkpoint of a log, by the hash of its origin. */
  async latest(originHash: string): Promise<Answer> {
    const note = await this.#latest.note(originHash);
    return note === undefined ? say(404, 'never cosigned') : { status: 200, text: note };
  }

  async #judge({ old, proof, checkpoint }: Request, keys: VerifierKey[]): Promise<Answer> {
    const { origin, size, root, note } = checkpoint;
    const signed = keys.map((key) => signedBy(note, key));
    const isWrong = signed.some((one) => !one.signed && one.why === 'wrong');
    if (isWrong || !signed.some((one) => one.signed)) return say(403, 'no trusted signature');
    if (old > size) return say(400, 'the old size is above the new one');
    const known = await this.#latest.read(origin);
    if (old !== (known?.size ?? 0)) {
      return { status: 409, text: `${known?.size ?? 0}\n`, type: 'text/x.tlog.size' };
    }
    if (size === 0 && !root.equals(emptyRoot())) return say(422, 'not the empty tree');
    const fromRoot = known?.root ?? emptyRoot();
    if (!isConsistent({ from: old, to: size, fromRoot, toRoot: root, proof })) {
      return say(422, 'not proven to continue what was cosigned');
    }
    const line = cosignNote(note.text, this.#key, BigInt(this.#now()));
    // Signatures of strangers were not looked at, and are not handed on.
    const trusted = note.signatures.filter(({ name, id }) =>
      keys.some((key) => key.name === name && key.id === id),
    );
    await this.#latest.write(
      origin,
      spellNote({ text: note.text, signatures: [...trusted, line] }),
    );
    return { status: 200, text: spellSignature(line) };
  }
}

type Request = { old: number; proof: Proof; checkpoint: SignedCheckpoint };

function parseRequest(body: Buffer): Request | undefined {
  if (!isUtf8(body)) return undefined;
  const text = body.toString('utf8');
  const end = text.indexOf('\n\n');
  if (end === -1) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\n');
  const old = first.startsWith('old ') ? parseSize(first.slice(4)) : undefined;
  const proof = parseProof(lines);
  const checkpoint = parseSignedCheckpoint(text.slice(end + 2));
  if (old === undefined || proof === undefined || checkpoint === undefined) return undefined;
  return { old, proof, checkpoint };
}

function say(status: number, text: string): Answer {
  return { status, text: `${text}\n` };
}
