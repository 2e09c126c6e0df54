import { generateKeyPairSync, hash, sign } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  attestationType,
  predicateType,
  signedBytes,
  statementType,
} from '#contract/attestation.ts';
import { markdownOf, type SelftestReport } from '#cli/selftest/report.ts';
import { daemonWithRun, FakeDaemon } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

async function said(cwd: string, host: string | undefined, ...args: string[]) {
  const ran = orchestra(['selftest', ...args], { cwd, ...(host === undefined ? {} : { host }) });
  return { code: await ran.code, out: ran.out(), err: ran.err() };
}

const report: SelftestReport = {
  version: 1,
  verdict: 'held',
  exit_code: 0,
  started_at: 'a',
  finished_at: 'b',
  duration_ms: 1,
  product: { cli: '1', daemon: '1', node_cli: 'v24', node_daemon: 'v24' },
  machine: { kernel: 'k', engine: 'e', runtimes: [], image: 'i', arch: 'x64', checks: [] },
  policy: { name: 'default', digest: 'd' },
  chosen: 'all attacks',
  counts: { attacks: 0, held: 0, down: 0, skipped: 0 },
  attacks: [],
  audit: { origin: 'log-1', first: 0, last: 1, head: 'h', runs: [] },
};

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const spki = publicKey.export({ type: 'spki', format: 'der' });
const key = `sha256:${hash('sha256', spki, 'hex')}`;
const recordHash = 'b'.repeat(64);

/** A report as a daemon signs it, in a folder of its own. */
function write(dir: string): string {
  const folder = join(dir, 'report');
  mkdirSync(folder);
  const files = { 'report.json': JSON.stringify(report), 'report.md': markdownOf(report) };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const statement = {
    _type: statementType,
    subject: Object.entries(files).map(([name, text]) => ({
      name,
      digest: { sha256: hash('sha256', text, 'hex') },
    })),
    predicateType,
    predicate: {
      kind: 'selftest.hostile',
      product: 'orchestra',
      version: '1',
      log: { origin: 'log-1', seq: 3, hash: recordHash },
      signed_at: '2026-01-01T00:00:00.000Z',
    },
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const envelope = {
    payloadType: attestationType,
    payload: payload.toString('base64'),
    signatures: [
      {
        keyid: key,
        sig: sign(null, signedBytes(attestationType, payload), privateKey).toString('base64'),
      },
    ],
    publicKey: spki.toString('base64'),
  };
  writeFileSync(join(folder, 'attestation.json'), JSON.stringify(envelope));
  return folder;
}

test.each([
  [['--group', 'none', '--list'], '--group none is unknown'],
  [['--only', 'escape.nothing', '--hostile'], 'no attack escape.nothing'],
  [[], 'Say --hostile'],
  [['attack'], 'does not know attack'],
  [['verify'], 'Which report?'],
])('%j is exit 1 and says why, and nothing is attacked', async (args, why) => {
  await using dir = await tempDir();
  const { code, err } = await said(dir.path, undefined, ...args);
  expect([code, err]).toEqual([1, expect.stringContaining(why)]);
});

test('a daemon on which no harmless task runs is an error, not a verdict', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('policyShow', { problem: 'policy.unknown' });
  const { code, out } = await said(dir.path, daemon.host, '--hostile');
  expect([code, out]).toEqual([1, '']);
});

test('the list names every attack without a daemon', async () => {
  await using dir = await tempDir();
  const all = await said(dir.path, undefined, '--list', '--json');
  const { items } = JSON.parse(all.out) as { items: { id: string; expects: string }[] };
  expect([all.code, items.length > 60]).toEqual([0, true]);
  const { out } = await said(dir.path, undefined, '--list', '--only', 'escape.mount');
  expect(out.trim()).toBe('escape.mount  Mount a file system');
});

test.each<[string, (folder: string) => void]>([
  [
    'report that was changed',
    (at) => writeFileSync(join(at, 'report.json'), JSON.stringify({ ...report, verdict: 'down' })),
  ],
  ['text that was changed', (at) => writeFileSync(join(at, 'report.md'), 'all is well')],
  [
    'signature of another key',
    (at) => {
      const file = join(at, 'attestation.json');
      const other = generateKeyPairSync('ed25519').publicKey.export({
        type: 'spki',
        format: 'der',
      });
      const envelope = JSON.parse(readFileSync(file, 'utf8')) as {
        publicKey: string;
        signatures: { keyid: string }[];
      };
      envelope.publicKey = other.toString('base64');
      for (const each of envelope.signatures) each.keyid = `sha256:${hash('sha256', other, 'hex')}`;
      writeFileSync(file, JSON.stringify(envelope));
    },
  ],
  [
    'key that is called another',
    (at) => {
      const file = join(at, 'attestation.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace(key, `sha256:${'0'.repeat(64)}`));
    },
  ],
  ['attestation that is none', (at) => writeFileSync(join(at, 'attestation.json'), '{}')],
])('a %s is exit 4', async (_, change) => {
  await using dir = await tempDir();
  const folder = write(dir.path);
  change(folder);
  const { code, err } = await said(dir.path, undefined, 'verify', folder);
  expect([code, err]).toEqual([4, expect.stringContaining('cannot be trusted')]);
});

test('a file of the report that is missing or a link is exit 1', async () => {
  await using dir = await tempDir();
  const folder = write(dir.path);
  rmSync(join(folder, 'report.md'));
  expect((await said(dir.path, undefined, 'verify', folder)).code).toBe(1);
  symlinkSync('/etc/passwd', join(folder, 'report.md'));
  expect((await said(dir.path, undefined, 'verify', folder)).code).toBe(1);
});

test('a whole report holds by its own key, and by none but the one that was asked for', async () => {
  await using dir = await tempDir();
  const folder = write(dir.path);
  const alone = await said(dir.path, undefined, 'verify', folder);
  expect([alone.code, alone.out]).toEqual([0, expect.stringContaining('not compared')]);
  const named = await said(dir.path, undefined, 'verify', folder, '--key', key);
  expect(named.code).toBe(0);
  const other = await said(
    dir.path,
    undefined,
    'verify',
    folder,
    '--key',
    `sha256:${'0'.repeat(64)}`,
  );
  expect(other.code).toBe(4);
});

test('the log has the last word: it says the same, or the report is broken', async () => {
  await using dir = await tempDir();
  const folder = write(dir.path);
  await using daemon = await FakeDaemon.open();
  const record = {
    v: 1,
    seq: 3,
    prev: 'a'.repeat(64),
    ts: '2026-01-01T00:00:00.000Z',
    mono: 0,
    boot: 'b',
    type: 'attestation.made',
    stage: 'note',
    outcome: 'ok',
    sev: 'info',
    actor: { kind: 'user', auth: 'peer' },
    data: { key },
  };
  daemon
    .answer('auditHead', { json: { size: 9, hash: recordHash, origin: 'log-1' } })
    .answer('auditShow', { json: { record, hash: recordHash } });
  const same = await said(dir.path, daemon.host, 'verify', folder);
  expect([same.code, same.out]).toEqual([0, expect.stringContaining('says the same')]);
  daemon.answer('auditShow', { json: { record: { ...record, data: {} }, hash: recordHash } });
  expect((await said(dir.path, daemon.host, 'verify', folder)).code).toBe(4);
  daemon.answer('auditShow', { json: { record, hash: 'c'.repeat(64) } });
  expect((await said(dir.path, daemon.host, 'verify', folder)).code).toBe(4);
});
