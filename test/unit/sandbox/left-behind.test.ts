import { afterEach, expect, test, vi } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import type { ActContext, Engine } from '#daemon/engine/engine.ts';
import type { Permit } from '#daemon/policy/permit.ts';
import { rememberLeft } from '#daemon/sandbox/left-behind.ts';

const gone = new OrchestraError('engine.unavailable', 'nothing answers');
const permit = { spec: { name: 'orc-1' } } as Permit;
const context = { run: 'r-0000000000', task: 'build', attempt: 1 };

/** An engine that is there or not, and writes down what it was asked to remove. */
function engineThat(isThere: () => boolean) {
  const removed: [string, ActContext][] = [];
  let asked = 0;
  const verb = async () => {
    if (!isThere()) throw gone;
  };
  const engine = {
    create: verb,
    list: async () => {
      asked += 1;
      await verb();
      return [];
    },
    remove: async (id: string, why: ActContext) => {
      await verb();
      removed.push([id, why]);
    },
  } as unknown as Engine;
  return { engine, removed, asked: () => asked };
}

let open: Disposable[] = [];
afterEach(() => {
  for (const one of open) one[Symbol.dispose]();
  open = [];
  vi.useRealTimers();
});

function remember(engine: Engine, isRunClosed = false) {
  vi.useFakeTimers();
  const log = { runState: () => ({ closed: isRunClosed }) as never };
  const left = rememberLeft(engine, { log, pauseMs: 100 });
  open.push({ [Symbol.dispose]: () => left.close() });
  return left;
}

test('what an absent engine did not remove is removed once it is back, and not asked for before', async () => {
  let isThere = false;
  const { engine, removed, asked } = engineThat(() => isThere);
  const left = remember(engine);
  await expect(left.engine.remove('abc', context)).rejects.toBe(gone);
  await vi.advanceTimersByTimeAsync(350);
  expect(left.count).toBe(1);
  expect(asked()).toBe(3);
  isThere = true;
  await vi.advanceTimersByTimeAsync(100);
  expect(removed).toEqual([['abc', { ...context, why: 'left behind' }]]);
  expect(left.count).toBe(0);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked()).toBe(4);
});

test('a container whose making was never answered is removed by its name', async () => {
  let isThere = false;
  const { engine, removed } = engineThat(() => isThere);
  const left = remember(engine);
  await expect(left.engine.create(permit, context)).rejects.toBe(gone);
  isThere = true;
  await vi.advanceTimersByTimeAsync(100);
  expect(removed.map(([id]) => id)).toEqual(['orc-1']);
});

test('nothing is added to a run that was closed in the meantime', async () => {
  let isThere = false;
  const { engine, removed } = engineThat(() => isThere);
  const left = remember(engine, true);
  await expect(left.engine.remove('abc', context)).rejects.toBe(gone);
  isThere = true;
  await vi.advanceTimersByTimeAsync(100);
  expect(removed).toEqual([['abc', { task: 'build', attempt: 1, why: 'left behind' }]]);
});

test('what the engine refuses is not asked for again', async () => {
  const refused = new OrchestraError('engine.failed', 'no');
  let asked = 0;
  const engine = {
    remove: async () => {
      asked += 1;
      throw refused;
    },
  } as unknown as Engine;
  const left = remember(engine);
  await expect(left.engine.remove('abc', context)).rejects.toBe(refused);
  expect(left.count).toBe(0);
  await vi.advanceTimersByTimeAsync(500);
  expect(asked).toBe(1);
});

test('a removal that goes through by another way is not done twice', async () => {
  let isThere = false;
  const { engine, removed } = engineThat(() => isThere);
  const left = remember(engine);
  await expect(left.engine.remove('abc', context)).rejects.toBe(gone);
  isThere = true;
  await left.engine.remove('abc', context);
  await vi.advanceTimersByTimeAsync(500);
  expect(removed).toHaveLength(1);
});
