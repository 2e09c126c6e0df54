import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { verifyOwn } from '#test/support/verify-own.ts';
import { inWords, Orchestra, user } from '#test/support/orchestra.ts';

const build = { id: 'build', tool: 'node', args: ['build.js'] };
const effects = ['create', 'start', 'signal SIGTERM', 'signal SIGKILL', 'remove'];

/** A run whose log takes no more from its record of that number on, if it gets so far. */
async function runBlockedAt(it: Orchestra, at: number, block: () => void) {
  it.programs.set('build', { delayMs: 5 });
  let records = 0;
  let callsBefore = Infinity;
  it.gate = (entry) => {
    if (entry.run === undefined) return true;
    if (records === at) {
      block();
      callsBefore = it.fake.calls.length;
    }
    records += 1;
    return true;
  };
  const id = await it.run([build]).catch((error: { code?: string }) => error.code);
  const isBlocked = it.log.blocked !== undefined;
  return { id: String(id), isBlocked, after: it.fake.calls.slice(callsBefore) };
}

test('whichever record of a run is the one that cannot be written, nothing is done after it', async () => {
  await using it = await Orchestra.open();
  const done: string[] = [];
  let at = 0;
  for (; at < 100; at += 1) {
    const { isBlocked, after } = await runBlockedAt(it, at, () => it.block());
    it.unblock();
    if (!isBlocked) break;
    const acts = after.filter((call) => effects.includes(call));
    // What runs already is ended: that is the one act that needs no record any more.
    for (const call of acts) if (call !== 'signal SIGKILL') done.push(`${call} after record ${at}`);
  }
  expect(done).toEqual([]);
  expect(at).toBeGreaterThan(15);
});

test('a run that the log stopped goes on with the next daemon, and the log is sound', async () => {
  const first = await Orchestra.open();
  const { id } = await runBlockedAt(first, 9, () => first.breakDisk());
  expect(first.fake.left).toHaveLength(1);
  await expect(first.submit([build])).rejects.toMatchObject({ code: 'audit.unavailable' });
  await expect(first.rooms.runs.cancel(id, '', user)).rejects.toMatchObject({
    code: 'run.conflict',
  });
  await first.stop();
  const engine = first.fake;
  await using second = await Orchestra.open({ stateDir: first.stateDir, engine });
  await second.ended(id);
  expect(engine.left).toEqual([]);
  const words = (await second.records(id)).map(inWords);
  expect(words.slice(words.indexOf('container.reconciled build'))).toEqual(
    expect.arrayContaining(['attempt.ended unknown build', 'run.recovered', 'run.closed']),
  );
  await second.stop();
  expect((await verifyOwn(second.rooms.auditDir)).exit).toBe(0);
  rmSync(first.stateDir, { recursive: true });
});
