import { sign } from 'node:crypto';
import {
  attestationType,
  predicateType,
  signedBytes,
  statementType,
  type Attestation,
  type AttestationStatement,
  type AttestFiles,
} from '#contract/attestation.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import { readOrMakeKey, type Key } from './own-key.ts';
import type { Log } from './types.ts';

/**
 * Signs files by their digests with a key of this installation, made when it is first needed. The
 * record comes first and the signature names it by number and hash: a signature that the log does
 * not know is not this daemon's. The key lies beside the log and is worth as much: whoever can
 * write there could sign. What it shows is that a report was not changed since, nor made elsewhere.
 */
export class Attester {
  readonly #log: Log;
  readonly #keyFile: string;
  readonly #version: string;
  #key: Promise<Key> | undefined;

  constructor({ log, keyFile, version }: { log: Log; keyFile: string; version: string }) {
    this.#log = log;
    this.#keyFile = keyFile;
    this.#version = version;
  }

  async attest(request: AttestFiles, actor: Actor): Promise<Attestation> {
    const key = await this.#ownKey();
    const { kind, files } = request;
    const record = await this.#log.append({
      type: 'attestation.made',
      actor,
      data: { kind, files, key: key.id, public_key: key.spki.toString('base64') },
    });
    const statement: AttestationStatement = {
      _type: statementType,
      subject: files.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
      predicateType,
      predicate: {
        kind,
        product: 'orchestra',
        version: this.#version,
        log: { origin: this.#log.origin, seq: record.seq, hash: await this.#hashOf(record.seq) },
        signed_at: record.ts,
      },
    };
    const payload = Buffer.from(JSON.stringify(statement));
    const signature = sign(null, signedBytes(attestationType, payload), key.secret);
    return {
      payloadType: attestationType,
      payload: payload.toString('base64'),
      signatures: [{ keyid: key.id, sig: signature.toString('base64') }],
      publicKey: key.spki.toString('base64'),
    };
  }

  /** Of the line as it lies on disk. */
  async #hashOf(seq: number): Promise<string> {
    for await (const line of this.#log.read({ from: seq, to: seq + 1 })) return line.hash;
    throw new OrchestraError('audit.broken', `The record ${seq} was written and is not there`);
  }

  async #ownKey(): Promise<Key> {
    const key = (this.#key ??= readOrMakeKey(this.#keyFile));
    try {
      return await key;
    } catch (error) {
      // Somebody may put right what was wrong with the file.
      this.#key = undefined;
      throw error;
    }
  }
}
