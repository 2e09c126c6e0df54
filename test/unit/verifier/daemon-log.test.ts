import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from '#daemon/audit/log.ts';
import { acceptLoss } from '#daemon/audit/tree/accept-loss.ts';
import { Trail } from '#daemon/audit/tree/trail.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { Signer } from '#signer/signer.ts';
import { SecondVerifier } from '#test/support/audit-fuzz.ts';
import { NearSigner } from '#test/support/signing.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { verifyPath } from '#verifier/verify-path.ts';
import { closed, noise, skipped } from '../audit/fixture.ts';

/** The daemon's own log, tree and signer, with nothing of this test's making. */
async function openSigned(dir: string) {
  const signer = new NearSigner({ dir: join(dir, 'signer') });
  const trail = new Trail({ dir: join(dir, 'audit'), signer, clock: systemClock() });
  const log = await openLog({
    dir: join(dir, 'audit'),
    version: '0.0.0',
    origin: 'host/orchestra/test',
    reserveBytes: 0,
    segmentBytes: 20_000,
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => trail.fold(record),
  });
  await trail.begin(log);
  const close = async () => {
    await trail.sign();
    await trail.close();
    await log.close();
  };
  return { log, trail, close };
}

test('the log that the daemon writes verifies by both, over keys, segments, tiles and restarts', async () => {
  await using dir = await tempDir();
  for (let round = 0; round < 3; round += 1) {
    const { log, trail, close } = await openSigned(dir.path);
    const run = `r-000000000${round}`;
    for (let n = 0; n < 4; n += 1) {
      await log.appendAll(Array.from({ length: 40 }, (_, at) => noise(`${n} ${at}`)));
      await log.append(skipped(run));
      await trail.sign();
    }
    await log.append(closed(run));
    if (round < 2) await trail.rotate();
    await close();
  }
  const { trail, close } = await openSigned(dir.path);
  const keys = trail.keys.map(({ vkey }) => vkey);
  const note = trail.newest?.note;
  await close();
  expect(keys).toHaveLength(3);
  const copy = join(dir.path, 'copy');
  await cp(join(dir.path, 'audit'), copy, { recursive: true });
  await using python = new SecondVerifier();
  const nothing = { checkpoints: [], policy: undefined, expect: undefined, record: undefined };
  for (const key of keys) {
    const ours = await verifyPath(copy, { keys: [key] });
    expect(ours).toMatchObject({ exit: 0, findings: [], trusted: ours.head.size });
    expect(await python.verify(copy, { keys: [key], ...nothing })).toMatchObject({ exit: 0 });
  }
  expect(note).toBeDefined();
  expect((await verifyPath(copy)).reason).toBe('unpinned');
});

test('a loss that was acknowledged splits the log: each key vouches for its own side only', async () => {
  await using dir = await tempDir();
  const audit = join(dir.path, 'audit');
  const before = await openSigned(dir.path);
  await before.log.appendAll(Array.from({ length: 20 }, (_, at) => noise(`${at}`)));
  await before.close();
  await cp(audit, join(dir.path, 'backup'), { recursive: true });
  const more = await openSigned(dir.path);
  await more.log.appendAll(Array.from({ length: 20 }, (_, at) => noise(`more ${at}`)));
  await more.close();
  // What signed is elsewhere and knows better; the files that tell of it are kept as well.
  await cp(join(audit, 'checkpoints.log'), join(dir.path, 'checkpoints.log'));
  await rm(audit, { recursive: true });
  await cp(join(dir.path, 'backup'), audit, { recursive: true });
  await cp(join(dir.path, 'checkpoints.log'), join(audit, 'checkpoints.log'));
  const near = { dir: join(dir.path, 'signer') };
  await acceptLoss({
    dir: audit,
    version: '0.0.0',
    reason: 'restored from a backup',
    signer: new NearSigner(near),
    giveUp: async () => {
      using signer = await Signer.open(near);
      await signer.giveUp();
    },
  });
  const after = await openSigned(dir.path);
  await after.log.append(noise('after'));
  const [old, now] = after.trail.keys.map(({ vkey }) => vkey);
  await after.close();
  const ours = await verifyPath(audit, { keys: [now ?? ''] });
  expect(ours).toMatchObject({ exit: 0, trusted: ours.head.size });
  expect(ours.notes.join()).toContain('a loss was acknowledged');
  expect((await verifyPath(audit, { keys: [old ?? ''] })).trusted).toBeLessThan(ours.head.size);
  await using python = new SecondVerifier();
  const nothing = { checkpoints: [], policy: undefined, expect: undefined, record: undefined };
  for (const key of [old, now]) {
    const keys = [key ?? ''];
    const { exit } = await verifyPath(audit, { keys });
    expect(await python.verify(audit, { keys, ...nothing })).toMatchObject({ exit });
  }
});
