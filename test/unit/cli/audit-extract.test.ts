import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { daemonWithRun, runId, type FakeDaemon } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { sampleExtract } from '#test/support/sample-extract.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { bundleNames } from '#verifier/bundle/read.ts';
import { verifyPath } from '#verifier/verify-path.ts';

async function said(daemon: FakeDaemon, cwd: string, args: string[]) {
  const ran = orchestra(['audit', ...args], { cwd, host: daemon.host });
  const code = await ran.code;
  return { code, out: ran.out(), err: ran.err() };
}

async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, text] of Object.entries(files)) tar.entry({ name }, text);
  tar.finalize();
  return Buffer.concat(await Array.fromAsync(tar as unknown as AsyncIterable<Buffer>));
}

test.each([
  ['is no tar', () => Promise.resolve(Buffer.from('nothing at all'))],
  ['is cut short', async () => (await sampleExtract(runId)).tar.subarray(0, 3_000)],
  ['names a file outside', () => tarOf({ '../evil': 'x', '/tmp/evil-orchestra': 'x' })],
  ['lacks a file', () => tarOf({ 'manifest.json': '{}' })],
])('what comes and %s is refused, and nothing of it stays', async (_name, make) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('auditExtract', { bytes: await make() });
  const { code, err } = await said(daemon, dir.path, ['extract', runId, '-o', 'there']);
  expect(code).toBe(4);
  expect(err).toContain('no extract of a run');
  expect((await readdir(dir.path)).filter((name) => !name.startsWith('.'))).toEqual([]);
});

test('a place that is taken is left as it is, and the daemon is not asked', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  await mkdir(path.join(dir.path, 'there'));
  await writeFile(path.join(dir.path, 'there', 'mine'), 'x');
  expect((await said(daemon, dir.path, ['extract', runId, '-o', 'there'])).code).toBe(1);
  expect(daemon.namesAsked()).not.toContain('auditExtract');
  expect(await readdir(path.join(dir.path, 'there'))).toEqual(['mine']);
});

test('a bundle that contradicts itself is kept as evidence, and ends with 4', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const { tar } = await sampleExtract(runId);
  const at = tar.indexOf('reason 2');
  tar.write('REASON 2', at);
  daemon.answer('auditExtract', { bytes: tar });
  const { code, out } = await said(daemon, dir.path, ['extract', runId, '-o', 'x.tar']);
  expect(code).toBe(4);
  expect(out).toContain('BROKEN');
  expect(out).toMatch(/hash_mismatch|prev_mismatch|run_incomplete/);
  expect(await readFile(path.join(dir.path, 'x.tar'))).toEqual(tar);
});

test('another key than the one that is trusted ends with 4', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const { vkeys } = await sampleExtract(runId);
  const { code, out } = await said(daemon, dir.path, ['extract', runId, '--key', vkeys[0] ?? '']);
  expect(code).toBe(4);
  expect(out).toContain('wrong_epoch_key');
  expect((await said(daemon, dir.path, ['extract', runId, '--key', 'x', '-o', 'y'])).code).toBe(1);
});

test.each(['x.tar', 'folder'])('by a trusted key it is verified: %s', async (out) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const { tar, vkeys } = await sampleExtract(runId, { epochs: 3 });
  daemon.answer('auditExtract', { bytes: tar });
  const args = ['extract', runId, '--key', vkeys[0] ?? '', '-o', out];
  const ran = await said(daemon, dir.path, args);
  expect(ran.out).toMatch(/^OK {2}6 records of r-/);
  expect(ran.code).toBe(0);
  const verdict = await verifyPath(path.join(dir.path, out), { keys: [vkeys[0] ?? ''] });
  expect(verdict.exit).toBe(0);
  if (out === 'folder') {
    const names = await readdir(path.join(dir.path, out));
    expect(names.toSorted()).toEqual([...bundleNames].toSorted());
  }
});

test('a run that goes on, or a key from itself alone, is incomplete; with --strict broken', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const unpinned = await said(daemon, dir.path, ['extract', runId, '-o', 'a']);
  expect(unpinned).toMatchObject({ code: 0, out: expect.stringContaining('unpinned') as string });
  const { tar, vkeys } = await sampleExtract(runId, { isOpen: true });
  daemon.answer('auditExtract', { bytes: tar });
  const args = ['extract', runId, '--key', vkeys[0] ?? ''];
  const open = await said(daemon, dir.path, [...args, '-o', 'b', '--json']);
  expect(open.code).toBe(0);
  expect(JSON.parse(open.out)).toMatchObject({ run: runId, verdict: 'incomplete', records: 5 });
  expect((await said(daemon, dir.path, [...args, '-o', 'c', '--strict'])).code).toBe(4);
});

test('the proof of a record is worked out here, and one that proves nothing is not given', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const { code, out } = await said(daemon, dir.path, ['prove', '10', '-o', 'p.tlog-proof']);
  expect(out).toContain('record 10 is in the checkpoint of 11 records');
  expect(code).toBe(0);
  const line = (await readFile(path.join(dir.path, 'p.tlog-proof.record'), 'utf8')).trimEnd();
  expect(JSON.parse(line)).toMatchObject({ seq: 10 });
  const proof = await readFile(path.join(dir.path, 'p.tlog-proof'), 'utf8');
  for (const wrong of [proof.replace('index 10', 'index 9'), proof.replace('BwcH', 'BwcI'), '']) {
    daemon.answer('auditProof', { bytes: wrong });
    const refused = await said(daemon, dir.path, ['prove', '10', '-o', 'q']);
    expect(refused.code).toBe(4);
  }
  expect(await readdir(dir.path)).not.toContain('q');
});
