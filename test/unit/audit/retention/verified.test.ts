import { execFile } from 'node:child_process';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { LogPruner, RetentionFolds } from '#daemon/audit/retention/log-pruner.ts';
import { Trail } from '#daemon/audit/tree/trail.ts';
import { NearSigner } from '#test/support/signing.ts';
import { verifyLog } from '#verifier/verify.ts';
import { FakeClock, noise, reopen, tempDir } from '../fixture.ts';
import { admin } from './harness.ts';

const run = promisify(execFile);
const program = new URL('../../../../verifier/python/orchestra_verify.py', import.meta.url)
  .pathname;

/** A log that is signed while it grows, as the daemon has it. */
async function opened(path: string, clock: FakeClock) {
  const dir = join(path, 'audit');
  const signer = new NearSigner({ dir: join(path, 'signer') });
  const trail = new Trail({ dir, signer, clock });
  const folds = new RetentionFolds();
  const log = await reopen(dir, {
    clock,
    segmentBytes: 6_000,
    segmentMs: 1e12,
    tree: trail.tree,
    check: (found) => trail.check(found),
    onBatch: (facts) => trail.grown(facts),
    onRecord: (record) => {
      trail.fold(record);
      folds.fold(record);
    },
  });
  await trail.begin(log);
  const needs = () => [];
  const pruner = new LogPruner({
    dir,
    log,
    checkpoints: trail,
    folds,
    needs,
    clock,
    keepDays: 10,
  });
  const days = async (count: number) => {
    for (let day = 0; day < count; day += 1) {
      // Every hour has its word, so that no silence is found.
      for (let hour = 0; hour < 24; hour += 1) {
        clock.pass(3_600_000);
        await log.append(noise(`day ${day}, ${hour}`));
      }
    }
  };
  return {
    log,
    trail,
    pruner,
    days,
    async [Symbol.asyncDispose]() {
      await pruner.close();
      await trail.close();
      await log.close();
      await signer.close();
    },
  };
}

async function verdicts(dir: string, key: string) {
  const own = await verifyLog(dir, { keys: [key] });
  const other = await run('python3', [program, '--key', key, '--json', dir]).catch(
    (error: { stdout: string }) => error,
  );
  const said = JSON.parse(other.stdout) as { exit: number };
  return { own: own.exit, other: said.exit, reasons: own.findings.map(({ reason }) => reason) };
}

test(
  'a log whose first key was let go with its front is verified from that key, by both verifiers',
  { timeout: 120_000 },
  async () => {
    await using temp = await tempDir();
    const dir = join(temp.path, 'audit');
    const clock = new FakeClock();
    let key: string;
    let cut: number;
    let keys: object[];
    {
      await using it = await opened(temp.path, clock);
      key = it.trail.keys[0]!.vkey;
      await it.days(8);
      await it.trail.rotate();
      await it.days(30);
      await it.trail.sign();
      expect(await verdicts(dir, key)).toEqual({ own: 0, other: 0, reasons: [] });
      const { to } = await it.pruner.prune({ dryRun: false }, admin);
      cut = to;
      keys = [...it.trail.keys];
      expect(cut).toBeGreaterThan(it.trail.keys[1]!.seq);
    }
    {
      await using it = await opened(temp.path, clock);
      expect(it.log.first).toBe(cut);
      expect(it.trail.keys).toEqual(keys);
      await it.days(1);
      await it.trail.rotate();
      expect((await it.trail.tree.inclusion(3, it.log.size)).length).toBeGreaterThan(8);
    }
    expect(await verdicts(dir, key)).toEqual({ own: 0, other: 0, reasons: [] });

    // Who removes one segment more, or forges what is carried, is found.
    const copy = join(temp.path, 'copy');
    await cp(dir, copy, { recursive: true });
    const [first] = (await readdir(join(copy, 'segments'))).toSorted();
    await rm(join(copy, 'segments', first!));
    expect(await verdicts(copy, key)).toMatchObject({ own: 1, other: 1 });
    await rm(copy, { recursive: true });
    await cp(dir, copy, { recursive: true });
    const tile = join(copy, 'tile/0/000');
    const bytes = await readFile(tile);
    bytes[7]! ^= 1;
    await writeFile(tile, bytes);
    expect(await verdicts(copy, key)).toMatchObject({ own: 1, other: 1 });
  },
);
