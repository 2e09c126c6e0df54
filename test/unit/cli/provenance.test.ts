import { generateKeyPairSync, hash, sign, type KeyObject } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { artifactDigest } from '#cli/provenance/artifact-digest.ts';
import { attestationType, signedBytes } from '#contract/attestation.ts';
import type { Digest } from '#contract/ids.ts';
import type { Envelope, ProvenanceStatement } from '#contract/provenance.ts';
import { daemonWithRun, digest, runId } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const statement = (sha256: string): ProvenanceStatement => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: 'build/dist', digest: { sha256 } }],
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {
      buildType: 'urn:orchestra:build:task:1',
      externalParameters: {},
      internalParameters: {},
      resolvedDependencies: [],
    },
    runDetails: {
      builder: { id: 'urn:orchestra:log:here' },
      metadata: { invocationId: runId },
      byproducts: [],
    },
  },
});

function signed(content: unknown, { privateKey, publicKey } = keys()): Envelope {
  const payload = Buffer.from(JSON.stringify(content));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const keyid: Digest = `sha256:${hash('sha256', spki, 'hex')}`;
  const sig = sign(null, signedBytes(attestationType, payload), privateKey).toString('base64');
  return {
    payloadType: attestationType,
    payload: payload.toString('base64'),
    signatures: [{ keyid, sig }],
    publicKey: spki.toString('base64'),
  };
}

const keys = () => generateKeyPairSync('ed25519');
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();

/** A signed file about `dist.txt`, that file, and the key, in a folder. */
async function folder() {
  const dir = await tempDir();
  const pair = keys();
  const envelope = signed(statement(hash('sha256', 'built', 'hex')), pair);
  const at = (name: string) => path.join(dir.path, name);
  await writeFile(at('dist.txt'), 'built');
  await writeFile(at('p.jsonl'), JSON.stringify(envelope));
  await writeFile(at('key.pem'), pem(pair.publicKey));
  await writeFile(at('other.pem'), pem(keys().publicKey));
  const verify = async (...args: string[]) => {
    const ran = orchestra(['provenance', 'verify', ...args], { cwd: dir.path });
    return { code: await ran.code, out: ran.out(), err: ran.err() };
  };
  return { at, envelope, pair, verify, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

describe('provenance is not verified', () => {
  test('without a key from outside: the one in the file proves nothing', async () => {
    await using it = await folder();
    const { code, err } = await it.verify('p.jsonl');
    expect(code).toBe(1);
    expect(err).toContain('a key in the file proves nothing');
  });

  test('with another key, also where the file claims to be signed by the trusted one', async () => {
    await using it = await folder();
    expect((await it.verify('p.jsonl', '--key', 'other.pem')).code).toBe(4);
    const forged = signed(statement('0'.repeat(64)));
    const { signatures, publicKey } = it.envelope;
    const claims = {
      ...forged,
      publicKey,
      signatures: [{ ...forged.signatures[0], keyid: signatures[0]?.keyid }],
    };
    await writeFile(it.at('p.jsonl'), JSON.stringify(claims));
    expect((await it.verify('p.jsonl', '--key', 'key.pem')).code).toBe(4);
    const fingerprint = it.envelope.signatures[0]?.keyid ?? '';
    expect((await it.verify('p.jsonl', '--key', fingerprint)).code).toBe(4);
  });

  test('where one line of several is not signed by the key', async () => {
    await using it = await folder();
    const lines = [it.envelope, signed(statement('0'.repeat(64)))].map((one) =>
      JSON.stringify(one),
    );
    await writeFile(it.at('p.jsonl'), lines.join('\n'));
    expect((await it.verify('p.jsonl', '--key', 'key.pem')).code).toBe(4);
  });

  test('of an artifact that is not the one that was built', async () => {
    await using it = await folder();
    await writeFile(it.at('dist.txt'), 'patched');
    const { code, err } = await it.verify('p.jsonl', 'dist.txt', '--key', 'key.pem');
    expect(code).toBe(4);
    expect(err).toContain('nothing in it is about dist.txt');
  });

  test.each([
    ['an empty file', () => ''],
    ['no envelope', () => '{}'],
    ['no JSON', () => 'nonsense'],
  ])('where there is %s', async (_what, content) => {
    await using it = await folder();
    await writeFile(it.at('p.jsonl'), content());
    expect((await it.verify('p.jsonl', '--key', 'key.pem')).code).toBe(4);
  });

  test('where another kind of statement was signed', async () => {
    await using it = await folder();
    await writeFile(it.at('p.jsonl'), JSON.stringify(signed({ _type: 'other' }, it.pair)));
    const { code, err } = await it.verify('p.jsonl', '--key', 'key.pem');
    expect(code).toBe(4);
    expect(err).toContain('not provenance');
  });
});

test('a signed file and its artifact are verified without a daemon, by key or fingerprint', async () => {
  await using it = await folder();
  const { code, out } = await it.verify('p.jsonl', 'dist.txt', '--key', 'key.pem');
  expect(code).toBe(0);
  expect(out).toContain(`built in   ${runId} of urn:orchestra:log:here`);
  const fingerprint = it.envelope.signatures[0]?.keyid ?? '';
  expect((await it.verify('p.jsonl', '--key', fingerprint)).code).toBe(0);
});

test('a directory has the digest of the list of what is in it', async () => {
  await using dir = await tempDir();
  const at = (name: string) => path.join(dir.path, name);
  await mkdir(at('b'));
  await writeFile(at('b/run.sh'), 'x', { mode: 0o755 });
  await writeFile(at('a'), 'built');
  const [built, x] = ['built', 'x'].map((text) => hash('sha256', text, 'hex'));
  const listed = [
    `{"bytes":5,"digest":"sha256:${built}","executable":false,"path":"a","type":"file"}`,
    '{"path":"b","type":"dir"}',
    `{"bytes":1,"digest":"sha256:${x}","executable":true,"path":"b/run.sh","type":"file"}`,
  ];
  const list = `{"entries":[${listed.join(',')}],"v":1}`;
  await expect(artifactDigest(dir.path)).resolves.toBe(hash('sha256', list, 'hex'));
});

test('what the daemon signed is written a line each, and the key as PEM', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const pair = keys();
  const envelope = signed(statement('0'.repeat(64)), pair);
  daemon
    .answer('runProvenance', { json: { run: runId, bundle: digest, envelopes: [envelope] } })
    .answer('provenanceKey', {
      json: { key: envelope.signatures[0]?.keyid, pem: pem(pair.publicKey) },
    });
  const around = { cwd: dir.path, host: daemon.host };
  const ran = orchestra(['provenance', runId], around);
  expect(await ran.code).toBe(0);
  expect(JSON.parse(ran.out())).toEqual(envelope);
  expect(await orchestra(['provenance', runId, 'dist', '-o', 'p.json'], around).code).toBe(0);
  expect(await orchestra(['provenance', 'key', '-o', 'k.pem'], around).code).toBe(0);
  const verified = orchestra(['provenance', 'verify', 'p.json', '--key', 'k.pem'], around);
  expect(await verified.code).toBe(0);
});
