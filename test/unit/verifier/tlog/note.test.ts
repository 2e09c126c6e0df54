import { generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkpointText,
  parseCheckpoint,
  parseSignedCheckpoint,
  parseTlogProof,
  spellTlogProof,
} from '#verifier/tlog/checkpoint.ts';
import { leafHash } from '#verifier/tlog/merkle.ts';
import {
  cosignedText,
  keyId,
  parseNote,
  parseVkey,
  signedBy,
  spellNote,
  spellVkey,
  type KeyKind,
} from '#verifier/tlog/note.ts';

/** The example of C2SP signed-note. */
const vkey = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const example = [
  'This is an example message.',
  '',
  '\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=',
  '',
].join('\n');
/** Those of golang.org/x/mod/sumdb/note: the message of its documentation, signed twice. */
const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const petersNote = [
  'If you think cryptography is the answer to your problem,',
  "then you don't know what your problem is.",
  '',
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=',
  '',
].join('\n');

function keyPair(name: string, kind: KeyKind) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const key = parseVkey(spellVkey(name, kind, raw));
  if (key === undefined) throw new Error('the key does not parse');
  return { privateKey, raw, key };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('undefined');
  return value;
}

describe('a signed note', () => {
  test.each([
    [vkey, example],
    [peter, petersNote],
  ])('of the public examples is signed by its key', (key, text) => {
    const note = must(parseNote(text));
    expect(signedBy(note, must(parseVkey(key)))).toEqual({ signed: true, at: undefined });
    expect(spellNote(note)).toBe(text);
    const changed = { ...note, text: note.text.replace('e', 'E') };
    expect(signedBy(changed, must(parseVkey(key)))).toEqual({ signed: false, why: 'wrong' });
  });

  test.each([
    ['without an empty line', example.replace('\n\n', '\n')],
    ['without its last line feed', example.slice(0, -1)],
    ['without a signature', 'text\n\n'],
    ['with a control character', example.replace('This', 'Th\tis')],
    ['with a carriage return', example.replaceAll('\n', '\r\n')],
    ['with base64 of another spelling', example.replace('M=\n', 'N=\n')],
    ['with a hyphen for the dash', example.replace('\u2014', '-')],
    ['that is not UTF-8', Buffer.concat([Buffer.from([0xff]), Buffer.from(example)])],
  ])('%s is no note', (_what, bytes) => {
    expect(parseNote(bytes)).toBeUndefined();
  });

  test('by another key of the same name says nothing', () => {
    const other = keyPair('example.com/foo', 'ed25519');
    const said = signedBy(must(parseNote(example)), other.key);
    expect(said).toEqual({ signed: false, why: 'absent' });
  });

  test('carries cosignatures with their time', () => {
    const witness = keyPair('witness.example/w1', 'cosignature');
    const note = must(parseNote(example));
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(1_679_315_147n);
    const message = Buffer.from(cosignedText(note.text, 1_679_315_147n));
    const bytes = Buffer.concat([time, sign(null, message, witness.privateKey)]);
    note.signatures.push({ name: witness.key.name, id: witness.key.id, bytes });
    const again = must(parseNote(spellNote(note)));
    expect(signedBy(again, witness.key)).toEqual({ signed: true, at: 1_679_315_147 });
    bytes[7] = (bytes[7] ?? 0) + 1;
    expect(signedBy(note, witness.key)).toEqual({ signed: false, why: 'wrong' });
  });
});

describe('a verifier key', () => {
  test.each([
    vkey.replace('530d903a', '530d903b'),
    vkey.replace('+Ae', '+Be'),
    vkey.slice(0, -1),
    vkey.replace('example.com/foo', 'example.com foo'),
    '',
  ])('that is not whole is refused: %s', (text) => {
    expect(parseVkey(text)).toBeUndefined();
  });

  test('has another id for each kind of signature', () => {
    const { raw } = keyPair('a', 'ed25519');
    expect(keyId('a', 'ed25519', raw)).not.toBe(keyId('a', 'cosignature', raw));
  });
});

describe('a checkpoint', () => {
  const root = leafHash(Buffer.from('x'));

  test('comes back as it was written', () => {
    const sizes = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(sizes, (size) => {
        const checkpoint = { origin: 'host/orchestra/1', size, root };
        expect(parseCheckpoint(checkpointText(checkpoint))).toEqual(checkpoint);
      }),
    );
  });

  test('tolerates extension lines', () => {
    expect(parseCheckpoint(`o\n1\n${root.toString('base64')}\nmore\n`)?.size).toBe(1);
  });

  test.each([
    ['a size with a leading zero', 'o\n01\nROOT\n'],
    ['a size beyond all numbers', 'o\n99999999999999999\nROOT\n'],
    ['a short root', 'o\n1\nAAAA\n'],
    ['no origin', '\n1\nROOT\n'],
    ['an empty line', 'o\n1\nROOT\n\nmore\n'],
    ['no end', 'o\n1\nROOT'],
  ])('with %s is none', (_what, text) => {
    expect(parseCheckpoint(text.replace('ROOT', root.toString('base64')))).toBeUndefined();
  });

  test('in arbitrary bytes is found or not, without an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseSignedCheckpoint(bytes);
        parseTlogProof(Buffer.from(bytes).toString('latin1'));
      }),
    );
  });

  test('travels in a proof', () => {
    const proof = { index: 7, proof: [root, root], checkpoint: example };
    expect(parseTlogProof(spellTlogProof(proof))).toEqual(proof);
    const withExtra = spellTlogProof(proof).replace('index', 'extra AAAA\nindex');
    expect(parseTlogProof(withExtra)).toEqual(proof);
    expect(parseTlogProof(spellTlogProof(proof).replace('index 7', 'index 07'))).toBeUndefined();
  });
});
