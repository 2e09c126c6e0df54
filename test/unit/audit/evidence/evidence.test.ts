import { hash, verify } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { expect, test } from 'vitest';
import { signedBytes, type Attestation } from '#contract/attestation.ts';
import type { AnyRecord, LogRecord, RecordData } from '#contract/records.ts';
import { Attester } from '#daemon/audit/attest.ts';
import { Evidence, type EvidenceDeps } from '#daemon/audit/evidence/evidence.ts';
import { openIndex } from '#daemon/audit/index-db.ts';
import { publicKeyOf } from '#verifier/tlog/note.ts';
import { Trail } from '#daemon/audit/tree/trail.ts';
import { NearSigner } from '#test/support/signing.ts';
import { closed, FakeClock, noise, reopen, tempDir } from '../fixture.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const start = Date.UTC(2026, 0, 1);
const auditor = { kind: 'user', auth: 'peer', uid: 1001, name: 'ada' } as const;

async function stage(more: Partial<EvidenceDeps> = {}) {
  const clock = new FakeClock();
  const temp = await tempDir();
  const dir = join(temp.path, 'audit');
  const folded: AnyRecord[] = [];
  const signer = new NearSigner({ dir: join(temp.path, 'signer') });
  const trail = new Trail({ dir, signer, clock });
  const log = await reopen(dir, {
    clock,
    segmentBytes: 6_000,
    segmentMs: 1e12,
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => {
      trail.fold(record);
      folded.push(record);
    },
  });
  await trail.begin(log);
  const index = await openIndex({ dir, log });
  const keyFile = join(temp.path, 'report.key');
  const evidence = new Evidence({
    dir,
    log,
    index,
    checkpoints: trail,
    attester: new Attester({ log, keyFile, version: '0.0.0' }),
    pruned: () => undefined,
    version: '0.0.0',
    now: () => clock.now(),
    ...more,
  });
  return {
    dir,
    log,
    folded,
    clock,
    evidence,
    async [Symbol.asyncDispose]() {
      await index.close();
      await trail.close();
      await log.close();
      await signer.close();
      await temp[Symbol.asyncDispose]();
    },
  };
}

type Stage = Awaited<ReturnType<typeof stage>>;

async function filesOf(tar: Readable): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const reader = extract();
  reader.on('entry', (header, stream, next) => {
    void Array.fromAsync(stream as AsyncIterable<Buffer>).then((parts) => {
      files.set(header.name, Buffer.concat(parts).toString());
      next();
    });
  });
  await pipeline(tar, reader);
  return files;
}

async function make(it: Stage, from = start, to = start + 40 * dayMs) {
  return filesOf(await it.evidence.make({ from, to }, auditor));
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- says what the file is
const json = <T>(files: Map<string, string>, name: string) => JSON.parse(files.get(name)!) as T;

/** Straight from the files, by nobody's code but this. */
async function recordsOf(it: Stage): Promise<LogRecord[]> {
  const folder = join(it.dir, 'segments');
  const names = (await readdir(folder)).toSorted();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.flatMap((text) =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogRecord),
  );
}

const run = 'r-0000000001';
const digest = `sha256:${'1'.repeat(64)}` as const;

async function busy(it: Stage): Promise<void> {
  const { log, clock } = it;
  for (let day = 0; day < 20; day += 1) {
    clock.pass(dayMs);
    for (let n = 0; n < 30; n += 1) {
      clock.pass(60_000);
      await log.append(noise(`day ${day}`));
    }
    if (day === 4) {
      await log.append({
        type: 'policy.loaded',
        data: { name: 'default', policy: digest, source: '/x' },
      });
      await log.append({
        type: 'run.submitted',
        run,
        actor: auditor,
        data: {
          intent: '=HYPERLINK("x")',
          snapshot: digest,
          policy: 'default',
          concurrency: 1,
          timeout_ms: 1,
          workspace: 'w',
        },
      });
      await log.append({
        type: 'run.refused',
        run,
        outcome: 'denied',
        sev: 'alert',
        data: { code: 'policy.denied', reasons: ['=1+1'] },
      });
      await log.append(closed(run));
    }
  }
}

test('every count is that of the segments, for whatever time is asked', async () => {
  await using it = await stage();
  await busy(it);
  const all = await recordsOf(it);
  for (const [from, to] of [
    [start, start + 60 * dayMs],
    [start + 3 * dayMs, start + 7 * dayMs],
    [Date.parse(all[200]!.ts), Date.parse(all[300]!.ts)],
    [start + 50 * dayMs, start + 60 * dayMs],
  ] as const) {
    const size = it.log.size;
    const files = await make(it, from, to);
    const manifest = json<{ records: number; tree_size: number }>(files, 'manifest.json');
    expect(manifest.tree_size).toBe(size);
    const meant = (await recordsOf(it)).slice(0, size).filter(({ ts }) => {
      return Date.parse(ts) >= from && Date.parse(ts) <= to;
    });
    const counts = new Map<string, number>();
    for (const { ts, type } of meant) {
      const key = `${ts.slice(0, 10)} ${type}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const rows = json<{ day: string; type: string; records: number }[]>(files, 'population.json');
    expect(new Map(rows.map((row) => [`${row.day} ${row.type}`, row.records]))).toEqual(counts);
    expect(manifest.records).toBe(meant.length);
    const cells = files.get('population.csv')!.trim().split('\r\n').slice(1);
    expect(cells.reduce((sum, row) => sum + Number(row.split(',')[2]), 0)).toBe(meant.length);
  }
});

test('what is made is on record with the digest of its manifest, which is signed', async () => {
  await using it = await stage();
  await busy(it);
  const files = await make(it);
  const text = files.get('manifest.json')!;
  const manifest = json<{ files: Record<string, string>; root: string }>(files, 'manifest.json');
  const made = it.folded.filter(({ type }) => type === 'evidence.made');
  expect(made).toHaveLength(1);
  expect(made[0]!.actor).toEqual(auditor);
  const data = made[0]!.data as RecordData<'evidence.made'>;
  expect(data.manifest).toBe(hash('sha256', text, 'hex'));
  expect(data.root).toBe(manifest.root);
  for (const [name, sha256] of Object.entries(manifest.files)) {
    expect(hash('sha256', files.get(name)!, 'hex'), name).toBe(sha256);
  }
  const named = [...Object.keys(manifest.files), 'manifest.json', 'attestation.json'];
  expect([...files.keys()].toSorted()).toEqual(named.toSorted());
  const { payloadType, payload, publicKey, signatures } = json<Attestation>(
    files,
    'attestation.json',
  );
  const bytes = Buffer.from(payload, 'base64');
  const key = publicKeyOf(Buffer.from(publicKey, 'base64').subarray(-32));
  const signature = Buffer.from(signatures[0]!.sig, 'base64');
  expect(verify(null, signedBytes(payloadType, bytes), key, signature)).toBe(true);
  expect(bytes.toString()).toContain(data.manifest);
  expect(files.get('checkpoint')).toContain(manifest.root);
});

test('runs, policies, actors, denials and alerts are listed, and no cell is a formula', async () => {
  await using it = await stage();
  await busy(it);
  const files = await make(it);
  const [head, row, ...more] = files.get('runs.csv')!.trim().split('\r\n');
  expect(more).toEqual([]);
  const cells = Object.fromEntries(head!.split(',').map((name, at) => [name, row!.split(',')[at]]));
  expect(cells).toMatchObject({ run, submitter: 'ada', policy_name: 'default', records: '3' });
  const policies = json<object[]>(files, 'policies.json');
  expect(policies).toMatchObject([{ name: 'default', policy: digest }]);
  expect(files.get('alerts.csv')).toContain('run.refused');
  expect(files.get('decisions.csv')).toContain('run.refused');
  expect(files.get('changes.csv')).toContain('policy.loaded');
  expect(files.get('actors.csv')).toContain('user,peer,1001,ada');
  for (const name of files.keys()) {
    if (name.endsWith('.csv')) expect(files.get(name)).not.toMatch(/(?:^|,)"?[=+@]/m);
  }
  const criteria = files.get('criteria.md')!;
  for (const id of ['CC6.1', 'CC6.2', 'CC6.3', 'CC6.6', 'CC6.8']) expect(criteria).toContain(id);
  for (const id of ['CC7.1', 'CC7.2', 'CC7.3', 'CC7.4', 'CC8.1']) expect(criteria).toContain(id);
  expect(criteria).toContain('not certified');
  // Days without a word, as this clock has them, are no tampering.
  const verdict = json<{ exit: number; records: number }>(files, 'verify.json');
  expect(verdict.exit).not.toBe(1);
  expect(verdict.records).toBeGreaterThan(600);
});

test('a run that began before the time is told with who submitted it', async () => {
  await using it = await stage();
  await busy(it);
  it.clock.pass(100 * dayMs);
  await it.log.append({ type: 'task.skipped', run, data: { reason: 'late' } });
  const files = await make(it, it.clock.now() - hourMs, it.clock.now());
  expect(files.get('runs.csv')).toContain('ada');
  expect(json<{ records: number }>(files, 'manifest.json').records).toBeLessThan(5);
});

test('hours without a word are told, and whether the daemon was stopped', async () => {
  await using it = await stage();
  const { log, clock } = it;
  await log.append(noise('first'));
  clock.pass(5 * hourMs);
  await log.append({ type: 'log.heartbeat', data: { size: 1, idle_ms: 1 } });
  clock.pass(hourMs);
  await log.append({ type: 'daemon.stopped', data: { runs_open: 0 } });
  clock.pass(9 * hourMs);
  await log.append(noise('again'));
  const files = await make(it, start, clock.now());
  const { gaps, heartbeats } = json<{ gaps: { ms: number; daemon: string }[]; heartbeats: number }>(
    files,
    'continuity.json',
  );
  expect(heartbeats).toBe(1);
  expect(gaps).toMatchObject([
    { ms: 5 * hourMs, daemon: 'running' },
    { ms: 9 * hourMs, daemon: 'stopped' },
  ]);
});

test('a time of which something was pruned says so', async () => {
  const until = new Date(start + 5 * dayMs).toISOString();
  const pruned = { seq: 90, to_seq: 40, until } as ReturnType<EvidenceDeps['pruned']>;
  await using it = await stage({ pruned: () => pruned });
  await busy(it);
  const cut = json<object>(await make(it), 'manifest.json');
  expect(cut).toMatchObject({ complete: false, pruned: { records_before: 40, by_record: 90 } });
  const whole = await make(it, start + 6 * dayMs, start + 9 * dayMs);
  expect(json<object>(whole, 'manifest.json')).toMatchObject({ complete: true });
});

test('a time that ends before it begins is refused, and a log that cannot be written gives nothing', async () => {
  await using it = await stage();
  await expect(make(it, start + 1, start)).rejects.toMatchObject({ code: 'request.invalid' });
  await busy(it);
  await it.log.close();
  await expect(make(it)).rejects.toMatchObject({ code: 'audit.unavailable' });
  const left = (await readdir(it.dir)).filter((name) => name.startsWith('evidence-'));
  expect(left).toEqual([]);
});

test('nothing of it stays beside the log once it was read', async () => {
  await using it = await stage();
  await busy(it);
  await make(it);
  await expect
    .poll(async () => (await readdir(it.dir)).filter((name) => name.startsWith('evidence-')))
    .toEqual([]);
  // Two that are read at once do not take each other's files.
  const times = { from: start, to: start + dayMs };
  const two = [await it.evidence.make(times, auditor), await it.evidence.make(times, auditor)];
  for (const tar of two) expect((await filesOf(tar)).has('manifest.json')).toBe(true);
  const broken = await it.evidence.make({ from: start, to: start + dayMs }, auditor);
  broken.destroy();
  await make(it);
});
