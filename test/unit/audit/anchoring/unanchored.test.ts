import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AnchorLedger } from '#daemon/audit/anchoring/ledger.ts';
import { anchoringSettings } from '#daemon/audit/anchoring/settings.ts';
import { KnownLog } from '#test/support/known-log.ts';
import { spellVkey } from '#verifier/tlog/note.ts';
import { actor, openStage } from './stage.ts';

const switched = (action: 'warn' | 'block', limit: object, dir = '/nonexistent') => ({
  anchors: [{ name: 'out', command: ['/bin/sh', '-c', `test -e ${dir}`], every: '1ms' }],
  max_unanchored: { action, ...limit },
});

test('past the limit no run is taken, once is it on record, and it clears by itself', async () => {
  const log = new KnownLog();
  await using stage = await openStage(switched('block', { records: 10 }), { log });
  await log.grow(7);
  stage.anchoring.assertAnchored();
  await log.grow(1);
  expect(() => stage.anchoring.assertAnchored()).toThrow('11 records');
  for (let i = 0; i < 3; i += 1) await stage.anchoring.look();
  expect(log.of('log.unanchored').map(({ data }) => data)).toEqual([
    { action: 'block', anchored: 0, records: 11, age_ms: 0 },
  ]);
  await stage.restart();
  await stage.anchoring.look();
  expect(log.of('log.unanchored')).toHaveLength(1);
  await stage.restart(switched('block', { records: 10 }, '/'));
  await stage.anchoring.now(actor, 10_000);
  stage.anchoring.assertAnchored();
  await stage.restart();
  await log.grow(11);
  await stage.anchoring.look();
  expect(log.of('log.unanchored')).toHaveLength(2);
});

test('what is too old counts as well, and a warning refuses nothing', async () => {
  const log = new KnownLog();
  await using stage = await openStage(switched('warn', { age: '1h' }), { log });
  log.now += 3_600_001;
  await stage.anchoring.look();
  expect(log.of('log.unanchored')[0]).toMatchObject({ sev: 'alert', data: { action: 'warn' } });
  stage.anchoring.assertAnchored();
  expect(stage.anchoring.view().limit).toEqual({ ageMs: 3_600_000, action: 'warn', passed: true });
});

test('a log that only was read gets no older and needs nobody', async () => {
  const log = new KnownLog();
  await using stage = await openStage(switched('block', { records: 1, age: '1s' }, '/'), { log });
  await stage.anchoring.now(actor, 10_000);
  for (let i = 0; i < 20; i += 1) {
    await log.append({ type: 'log.read', data: { what: 'list', query: '', records: 0 } });
  }
  log.now += 86_400_000;
  stage.anchoring.assertAnchored();
});

test.each([
  [{ anchors: [{ name: 'a', command: ['relative'] }] }, 'absolute'],
  [{ anchors: [{ name: 'a', command: ['/x\0y'] }] }, 'NUL'],
  [{ anchors: ['a', 'a'].map((name) => ({ name, command: ['/x'] })) }, 'twice'],
  [{ max_unanchored: { records: 5, action: 'warn' } }, 'neither'],
  [{ max_unanchored: { action: 'warn' } }, 'age or records'],
  [{ witnesses: { quorum: 1, members: [] } }, 'quorum'],
  [{ witnesses: { quorum: 1, members: [witness('http://example.org/')] } }, undefined],
  [{ witnesses: { quorum: 1, members: [witness('http://8.8.8.8/')] } }, 'not https'],
  [{ witnesses: { quorum: 1, members: [witness('https://u:p@h/')] } }, 'http(s)://host'],
  [{ witnesses: { quorum: 1, members: [witness('file:///x')] } }, 'http(s)://host'],
  [{ witnesses: { quorum: 1, members: [{ ...witness(), vkey: 'a+00000000+AA==' }] } }, 'vkey'],
])('settings %j', async (settings, complaint) => {
  const opened = openStage(settings);
  if (complaint === undefined) await (await opened)[Symbol.asyncDispose]();
  else await expect(opened).rejects.toThrow(complaint);
});

function witness(url = 'https://w.example/') {
  return { name: 'w', url, vkey: spellVkey('w.example/x', 'cosignature', Buffer.alloc(32, 7)) };
}

test('never less is said to be unanchored than there is, however long the gap', async () => {
  const settings = anchoringSettings({ anchors: [{ name: 'out', command: ['/x'] }] });
  const step = fc.oneof(
    fc.record({ grow: fc.integer({ min: 1, max: 900 }) }),
    fc.record({ sent: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.constant({ read: true }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const log = new KnownLog();
      const ledger = new AnchorLedger(settings);
      log.onRecord = (record) => ledger.fold(record);
      for (const each of steps) {
        if ('grow' in each) await log.grow(each.grow);
        else if ('read' in each) {
          await log.append({ type: 'log.read', data: { what: 'x', query: '', records: 0 } });
        } else {
          const size = Math.max(ledger.anchored, Math.floor(each.sent * log.size));
          const data = { anchor: 'out', size, duration_ms: 1 };
          await log.append({ type: 'anchor.sent', data });
        }
      }
      const counting = log.of('workspace.cleaned').filter(({ seq }) => seq >= ledger.anchored);
      const { records } = ledger.unanchored(log.now);
      expect(records).toBeGreaterThanOrEqual(counting.length);
      // Beyond the number of marks several records share one, so one mark may say too much.
      const least = log.size <= 2048 ? counting.length : counting.length + 64;
      expect(records).toBeLessThanOrEqual(least);
      expect(ledger.hasMoreThan(ledger.anchored)).toBe(counting.length > 0);
    }),
    { numRuns: 40 },
  );
});
