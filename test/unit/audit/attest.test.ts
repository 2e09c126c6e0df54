import { createPublicKey, hash, verify } from 'node:crypto';
import { chmod, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AttestationStatement, signedBytes, type Attestation } from '#contract/attestation.ts';
import { Attester } from '#daemon/audit/attest.ts';
import { testLog } from './fixture.ts';

const actor = { kind: 'user', auth: 'peer', uid: 1000 } as const;
const request = {
  kind: 'selftest.hostile' as const,
  files: [{ name: 'report.json', sha256: 'a'.repeat(64) }],
};

function holds({ payloadType, payload, signatures, publicKey }: Attestation): boolean {
  const key = createPublicKey({
    key: Buffer.from(publicKey, 'base64'),
    format: 'der',
    type: 'spki',
  });
  const bytes = signedBytes(payloadType, Buffer.from(payload, 'base64'));
  return verify(null, bytes, key, Buffer.from(signatures[0]?.sig ?? '', 'base64'));
}

test.each<[string, (file: string) => Promise<unknown>]>([
  [
    'is open to others',
    async (file) => {
      await writeFile(file, 'x');
      await chmod(file, 0o644);
    },
  ],
  ['is a link', async (file) => symlink('/etc/passwd', file)],
  ['is no key', async (file) => writeFile(file, 'x', { mode: 0o600 })],
  ['is a directory', async (file) => mkdir(file)],
])('a key that %s is refused, and nothing is signed or recorded', async (_, make) => {
  await using it = await testLog();
  const keyFile = join(it.dir, 'report.key');
  await make(keyFile);
  const attester = new Attester({ log: it.log, keyFile, version: '1' });
  await expect(attester.attest(request, actor)).rejects.toMatchObject({ code: 'config.invalid' });
  expect(it.folded.filter(({ type }) => type === 'attestation.made')).toEqual([]);
});

test('a log that cannot be written signs nothing', async () => {
  await using it = await testLog();
  const attester = new Attester({
    log: it.log,
    keyFile: join(it.dir, 'k/report.key'),
    version: '1',
  });
  await it.log.close();
  await expect(attester.attest(request, actor)).rejects.toMatchObject({
    code: 'audit.unavailable',
  });
});

test('a signature covers the digests and the record that says so, whose hash it names', async () => {
  await using it = await testLog();
  const keyFile = join(it.dir, 'keys/report.key');
  const attester = new Attester({ log: it.log, keyFile, version: '1' });
  const made = await attester.attest(request, actor);
  expect(holds(made)).toBe(true);
  const text = Buffer.from(made.payload, 'base64').toString();
  const { subject, predicate } = AttestationStatement.parse(JSON.parse(text));
  expect(subject).toEqual([{ name: 'report.json', digest: { sha256: 'a'.repeat(64) } }]);
  const record = it.folded.find(({ type }) => type === 'attestation.made');
  expect(record).toMatchObject({
    seq: predicate.log.seq,
    actor,
    data: { key: made.signatures[0]?.keyid, files: request.files },
  });
  for await (const line of it.log.read({ from: predicate.log.seq, to: predicate.log.seq + 1 })) {
    expect(predicate.log).toEqual({ origin: 'test', seq: line.record.seq, hash: line.hash });
  }
});

test('a changed payload, type or signature does not hold', async () => {
  await using it = await testLog();
  const attester = new Attester({ log: it.log, keyFile: join(it.dir, 'keys/k'), version: '1' });
  const made = await attester.attest(request, actor);
  const other = Buffer.from(made.payload, 'base64').toString().replace('aaa', 'aab');
  expect(holds({ ...made, payload: Buffer.from(other).toString('base64') })).toBe(false);
  expect(holds({ ...made, payloadType: 'text/plain' as never })).toBe(false);
});

test('the key is made once, for its owner alone, and is found again by the next daemon', async () => {
  await using it = await testLog();
  const keyFile = join(it.dir, 'keys/report.key');
  const options = { log: it.log, keyFile, version: '1' };
  const attester = new Attester(options);
  const [one, two] = await Promise.all([
    attester.attest(request, actor),
    attester.attest(request, actor),
  ]);
  const three = await new Attester(options).attest(request, actor);
  const ids = [one, two, three].map(({ signatures }) => signatures[0]?.keyid);
  expect(new Set(ids).size).toBe(1);
  const spki = Buffer.from(one.publicKey, 'base64');
  expect(ids[0]).toBe(`sha256:${hash('sha256', spki, 'hex')}`);
  expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
  expect(await readFile(keyFile, 'utf8')).toContain('PRIVATE KEY');
});
