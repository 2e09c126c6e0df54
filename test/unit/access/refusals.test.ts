import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Refusals, type RefusalEntry } from '#daemon/access/refusals.ts';

let written: RefusalEntry[];
let refusals: Refusals;
const log = {
  blocked: undefined,
  append: (entry: unknown) => {
    written.push(entry as RefusalEntry);
    return Promise.resolve({} as never);
  },
};
const denied = (route = 'GET /v1/audit/records'): RefusalEntry => ({
  type: 'access.denied',
  outcome: 'denied',
  req: 'q-1',
  data: { route, needs: ['auditor'], reason: 'no' },
});

beforeEach(() => {
  vi.useFakeTimers();
  written = [];
  refusals = new Refusals({ log, callersMax: 3 });
});
afterEach(() => vi.useRealTimers());

test('of a thousand refusals in a minute ten are recorded, and then how many more there were', async () => {
  for (let n = 0; n < 1000; n += 1) await refusals.record('uid:1', denied(`GET /${n}`));
  expect(written).toHaveLength(10);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(written).toHaveLength(11);
  expect(written[10]).toMatchObject({ data: { route: 'GET /999', more: 990 } });
  expect(written[10]?.req).toBeUndefined();
  await refusals.record('uid:1', denied());
  expect(written).toHaveLength(12);
});

test('one who floods does not hide another’s refusals, nor his own of another kind', async () => {
  for (let n = 0; n < 50; n += 1) await refusals.record('uid:1', denied());
  await refusals.record('uid:2', denied());
  const data = { route: 'POST /x', code: 'request.invalid', reason: 'no' };
  await refusals.record('uid:1', { type: 'api.rejected', data });
  expect(written).toHaveLength(12);
});

test('many callers at once share one count, so that neither memory nor log grow with them', async () => {
  for (let n = 0; n < 1000; n += 1) await refusals.record(`addr:${n}`, denied());
  expect(written).toHaveLength(3 + 10);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(written.at(-1)).toMatchObject({ data: { more: 1000 - 13 } });
});

test('what was only counted is recorded when the daemon stops', async () => {
  for (let n = 0; n < 12; n += 1) await refusals.record('uid:1', denied());
  await refusals[Symbol.asyncDispose]();
  expect(written.at(-1)).toMatchObject({ data: { more: 2 } });
  await vi.advanceTimersByTimeAsync(120_000);
  expect(written).toHaveLength(11);
});
