import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  sign,
  type KeyObject,
} from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
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
import type { Digest } from '#contract/ids.ts';
import type { Actor } from '#contract/records.ts';
import type { Log } from './types.ts';

type Key = { secret: KeyObject; spki: Buffer; id: Digest };

const keyBytesMax = 4096;

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

async function readOrMakeKey(file: string): Promise<Key> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const found = await readKey(file);
  if (found !== undefined) return found;
  const { privateKey } = generateKeyPairSync('ed25519');
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  await using handle = await open(file, flags, 0o600);
  await handle.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await handle.sync();
  return keyOf(privateKey);
}

/** A key that others may read is no key of ours any more. */
async function readKey(file: string): Promise<Key | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    await using handle = await open(file, flags);
    const { mode, uid, size } = await handle.stat();
    const isOwn = (mode & constants.S_IFMT) === constants.S_IFREG && uid === process.getuid?.();
    if (!isOwn || (mode & 0o077) !== 0 || size > keyBytesMax) throw notOurs();
    const secret = createPrivateKey(await handle.readFile());
    if (secret.asymmetricKeyType !== 'ed25519') throw notOurs();
    return keyOf(secret);
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw notOurs(cause);
  }
}

function keyOf(secret: KeyObject): Key {
  const spki = createPublicKey(secret).export({ type: 'spki', format: 'der' });
  return { secret, spki, id: `sha256:${hash('sha256', spki, 'hex')}` };
}

function notOurs(cause?: unknown): OrchestraError {
  return new OrchestraError(
    'config.invalid',
    'The key for reports is not a file of mode 0600 of the daemon’s own with an Ed25519 key in it',
    {
      hint: 'look who changed keys/report.key in the state directory; without it a new one is made',
      cause,
    },
  );
}
