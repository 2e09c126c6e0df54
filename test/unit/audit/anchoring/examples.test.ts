import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { tempDir } from '#test/support/temp-dir.ts';
import { parseSignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import { actor, openStage } from './stage.ts';

const examples = new URL('../../../../examples/anchors', import.meta.url).pathname;
const run = promisify(execFile);

const anchor = (name: string, ...args: string[]) => ({
  anchors: [{ name: 'out', command: [join(examples, name), ...args], every: '1ms' }],
});

test('append.sh: every checkpoint is at the end of the file', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'held');
  await using stage = await openStage(anchor('append.sh', file));
  const { size: first } = await anchored(stage);
  await stage.log.grow(5);
  const { size: second } = await anchored(stage);
  const blocks = (await readFile(file, 'utf8')).trimEnd().split('\n\n');
  const sizes = [0, 2].map((at) => parseSignedCheckpoint(`${blocks[at]}\n\n${blocks[at + 1]}\n`));
  expect(sizes.map((one) => one?.size)).toEqual([first, second]);
});

test('git-push.sh: every checkpoint is a commit, and one that could not be pushed follows', async () => {
  await using dir = await tempDir();
  const [bare, clone] = ['bare.git', 'clone'].map((name) => join(dir.path, name)) as [
    string,
    string,
  ];
  await run('git', ['init', '--quiet', '--bare', '--initial-branch=main', bare]);
  await run('git', ['clone', '--quiet', bare, clone]);
  await using stage = await openStage(anchor('git-push.sh', clone));
  await anchored(stage);
  await run('mv', [bare, `${bare}.away`]);
  await stage.log.grow(5);
  await stage.anchoring.now(actor, 20_000);
  expect(stage.log.of('anchor.failed')).toHaveLength(1);
  await run('mv', [`${bare}.away`, bare]);
  await stage.log.grow(5);
  const { newest, size } = await anchored(stage);
  const log = await run('git', ['-C', bare, 'log', '--format=%s']);
  expect(log.stdout.split('\n')[0]).toContain(`${size} records`);
  expect(log.stdout.trimEnd().split('\n')).toHaveLength(3);
  const held = await run('git', ['-C', bare, 'show', 'HEAD:checkpoint']);
  expect(held.stdout).toBe(newest);
});

test('rfc3161.sh: the authority’s word holds for the checkpoint, and for no other', async () => {
  await using dir = await tempDir();
  const tsa = await authority(dir.path);
  const held = join(dir.path, 'held');
  await mkdir(held);
  await using stage = await openStage(anchor('rfc3161.sh', held, tsa.command));
  const { size } = await anchored(stage);
  const verify = (data: string) =>
    run('openssl', [
      'ts',
      '-verify',
      '-data',
      join(held, data),
      '-in',
      join(held, `${size}.tsr`),
      '-CAfile',
      tsa.certificate,
    ]);
  expect((await verify(`${size}.checkpoint`)).stdout).toContain('OK');
  const note = await readFile(join(held, `${size}.checkpoint`), 'utf8');
  await writeFile(join(held, 'other'), note.replace(`\n${size}\n`, `\n${size + 1}\n`));
  await expect(verify('other')).rejects.toThrow();
}, 60_000);

test('rfc3161.sh: a reply to another query, or a refusal, does not count', async () => {
  await using dir = await tempDir();
  const tsa = await authority(dir.path);
  const query = join(dir.path, 'other.tsq');
  await run('openssl', ['ts', '-query', '-data', tsa.command, '-sha256', '-cert', '-out', query]);
  const stale = join(dir.path, 'stale.sh');
  await writeFile(stale, `#!/bin/sh\nexec ${tsa.command} < ${query}\n`, { mode: 0o755 });
  const refusing = join(dir.path, 'refusing.sh');
  await writeFile(refusing, '#!/bin/sh\ncat > /dev/null; echo no\n', { mode: 0o755 });
  for (const command of [stale, refusing]) {
    await using stage = await openStage(anchor('rfc3161.sh', dir.path, command));
    await stage.anchoring.now(actor, 20_000);
    expect(stage.log.of('anchor.failed')).toHaveLength(1);
    expect(stage.log.of('anchor.sent')).toEqual([]);
  }
}, 60_000);

test('mail.sh: the checkpoint is in the mail, and a mail that was not taken was not sent', async () => {
  await using dir = await tempDir();
  const box = join(dir.path, 'box');
  const sendmail = join(dir.path, 'sendmail');
  await writeFile(sendmail, `#!/bin/sh\necho "$@" > ${box}.args\ncat > ${box}\n`, { mode: 0o755 });
  await using stage = await openStage(anchor('mail.sh', 'audit@example.org', sendmail));
  const { newest } = await anchored(stage);
  expect(await readFile(box, 'utf8')).toContain(`\n\n${newest}`);
  expect(await readFile(`${box}.args`, 'utf8')).toBe('-i audit@example.org\n');
  await writeFile(sendmail, '#!/bin/sh\nexit 75\n', { mode: 0o755 });
  await stage.log.grow(1);
  await stage.anchoring.now(actor, 20_000);
  expect(stage.log.of('anchor.failed')).toHaveLength(1);
});

type Stage = Awaited<ReturnType<typeof openStage>>;

async function anchored({ anchoring, log }: Stage): Promise<{ newest: string; size: number }> {
  const before = log.of('anchor.sent').length;
  await anchoring.now(actor, 20_000);
  expect(log.of('anchor.sent').length).toBeGreaterThan(before);
  const { newest } = log.checkpoints;
  if (newest === undefined) throw new Error('nothing was signed');
  return { newest: spellNote(newest.note), size: newest.size };
}

/** A time-stamping authority of the test's own, as openssl has it. */
async function authority(dir: string): Promise<{ command: string; certificate: string }> {
  const at = (name: string) => join(dir, name);
  const config = `
oid_section = oids
[oids]
policy1 = 1.2.3.4.1
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
[dn]
CN = a time-stamping authority of a test
[ext]
basicConstraints = CA:true
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = ${at('serial')}
signer_cert = ${at('tsa.pem')}
signer_key = ${at('tsa.key')}
signer_digest = sha256
default_policy = policy1
digests = sha256
`;
  await writeFile(at('tsa.cnf'), config);
  await writeFile(at('serial'), '01\n');
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', at('tsa.key')];
  const request = ['req', '-x509', '-config', at('tsa.cnf'), '-days', '2', '-out', at('tsa.pem')];
  await run('openssl', [...request, ...key]);
  const script = `#!/bin/sh
cat > ${at('query')}.$$
exec openssl ts -reply -config ${at('tsa.cnf')} -queryfile ${at('query')}.$$
`;
  await writeFile(at('tsa.sh'), script, { mode: 0o755 });
  return { command: at('tsa.sh'), certificate: at('tsa.pem') };
}
