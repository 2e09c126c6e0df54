import { getEventListeners } from 'node:events';
import { beforeEach, describe, expect, test } from 'vitest';
import { recordTypes } from '#contract/records.ts';
import { Circuits, type Blocked, type ComponentEvent } from '#daemon/runs/failures/circuits.ts';

let now: number;
let timers: { at: number; call: () => void }[];
let told: ComponentEvent[];
let circuits: Circuits;
const signal = new AbortController().signal;

beforeEach(() => {
  now = 0;
  timers = [];
  told = [];
  circuits = new Circuits({
    clock: { now: () => 1_000_000 + now, mono: () => now * 1000 },
    tell: (event) => told.push(event),
    after: (ms, call) => {
      const timer = { at: now + ms, call };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
  });
});

/** Time goes by, with everything that comes of it. */
async function pass(ms: number): Promise<void> {
  now += ms;
  const due = timers.filter(({ at }) => at <= now);
  for (const { call } of due) call();
  await settled();
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function fail(component: string, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const leave = await circuits.admit([component], signal);
    leave.failed(component);
  }
}

async function work(component: string): Promise<void> {
  using leave = await circuits.admit([component], signal);
  leave.worked();
}

/** Asks to be let in, and tells later whether it was. */
function ask(components: string[], by: AbortSignal = signal) {
  const asked = { isIn: false, blocked: [] as Blocked[], leave: undefined as unknown };
  const leave = circuits.admit(components, by, (why) => asked.blocked.push(why));
  leave.then(
    () => (asked.isIn = true),
    () => {},
  );
  return { asked, leave };
}

describe('closed', () => {
  test('two failures in a row change nothing', async () => {
    await fail('engine', 2);
    expect(circuits.isFree('engine')).toBe(true);
    expect(told).toEqual([]);
  });

  test('what works in between begins the count anew', async () => {
    await fail('engine', 2);
    await work('engine');
    await fail('engine', 2);
    expect(circuits.isFree('engine')).toBe(true);
  });

  test('who leaves without a word is no failure', async () => {
    for (let i = 0; i < 5; i += 1) (await circuits.admit(['engine'], signal))[Symbol.dispose]();
    expect(circuits.isFree('engine')).toBe(true);
  });
});

describe('open', () => {
  test('three failures in a row open it, and the log learns until when', async () => {
    await fail('engine', 3);
    expect(circuits.isFree('engine')).toBe(false);
    const data = { component: 'engine', failures: 3, until_ms: 1_001_000 };
    expect(told).toEqual([{ type: 'component.opened', data }]);
    expect(recordTypes['component.opened'].data.parse(data)).toEqual(data);
  });

  test('whoever comes waits, and is told once why', async () => {
    await fail('engine', 3);
    const { asked } = ask(['engine']);
    await pass(500);
    expect(asked.isIn).toBe(false);
    expect(asked.blocked).toEqual([
      {
        component: 'engine',
        reason: 'engine failed 3 times in a row; it is tried again in 1 s',
      },
    ]);
  });

  test('whoever waits can be stopped, and leaves no timer behind', async () => {
    await fail('engine', 3);
    const stop = new AbortController();
    const { leave } = ask(['engine'], stop.signal);
    await settled();
    expect(timers).toHaveLength(1);
    stop.abort(new Error('cancelled'));
    await expect(leave).rejects.toThrow('cancelled');
    expect(timers).toEqual([]);
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });

  test('an aborted signal is not let in at all', async () => {
    const aborted = AbortSignal.abort(new Error('cancelled'));
    await expect(circuits.admit(['engine'], aborted)).rejects.toThrow('cancelled');
  });

  test('the failures of those who were inside when it broke count once', async () => {
    const inside = await Promise.all(
      Array.from({ length: 8 }, async () => circuits.admit(['engine'], signal)),
    );
    for (const leave of inside) leave.failed('engine');
    expect(told).toHaveLength(1);
    await pass(1_000);
    expect(circuits.isFree('engine')).toBe(true);
  });

  test('a late success of one that was inside does not close it', async () => {
    const old = await circuits.admit(['engine'], signal);
    await fail('engine', 3);
    old.worked();
    expect(circuits.isFree('engine')).toBe(false);
  });

  test('other components go on', async () => {
    await fail('runtime:runc', 3);
    expect(circuits.isFree('engine')).toBe(true);
    await work('engine');
  });
});

describe('half-open', () => {
  beforeEach(async () => fail('engine', 3));

  test('one may try, the others wait for what comes of it', async () => {
    const run = new AbortController().signal;
    const [first, second] = [ask(['engine'], run), ask(['engine'], run)];
    await pass(1_000);
    expect([first.asked.isIn, second.asked.isIn]).toEqual([true, false]);
    (await first.leave).worked();
    await settled();
    expect(second.asked.isIn).toBe(true);
    expect(getEventListeners(run, 'abort')).toEqual([]);
    expect(timers).toEqual([]);
    expect(told.at(-1)).toEqual({ type: 'component.closed', data: { component: 'engine' } });
  });

  test('the word that it works counts before the task is over', async () => {
    await pass(1_000);
    const probe = await circuits.admit(['engine'], signal);
    expect(circuits.isFree('engine')).toBe(false);
    probe.worked();
    expect(circuits.isFree('engine')).toBe(true);
  });

  test('one that fails opens it again, for twice as long each time and a minute at most', async () => {
    const lengths: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      const before = now;
      while (!circuits.isFree('engine')) await pass(500);
      lengths.push(now - before);
      await fail('engine', 1);
    }
    expect(lengths).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    expect(told.at(-1)).toMatchObject({ type: 'component.opened', data: { failures: 11 } });
  });

  test('one that leaves without a word makes room for the next', async () => {
    await pass(1_000);
    const probe = await circuits.admit(['engine'], signal);
    const { asked } = ask(['engine']);
    await settled();
    expect(asked.isIn).toBe(false);
    probe[Symbol.dispose]();
    await settled();
    expect(asked.isIn).toBe(true);
  });

  test('one that never says anything does not keep the others out for ever', async () => {
    await pass(1_000);
    await circuits.admit(['engine'], signal);
    const { asked } = ask(['engine']);
    await pass(9_999);
    expect(asked.isIn).toBe(false);
    await pass(1);
    expect(asked.isIn).toBe(true);
  });

  test('closed again, it takes three failures to open, and begins with a second', async () => {
    await pass(1_000);
    using probe = await circuits.admit(['engine'], signal);
    probe.worked();
    await fail('engine', 2);
    expect(circuits.isFree('engine')).toBe(true);
    await fail('engine', 1);
    expect(told.at(-1)?.data).toMatchObject({ until_ms: 1_000_000 + now + 1_000 });
  });

  test('what tried and worked counts like any other when it fails later', async () => {
    await pass(1_000);
    const probe = await circuits.admit(['engine'], signal);
    probe.worked();
    await fail('engine', 2);
    probe.failed('engine');
    expect(circuits.isFree('engine')).toBe(false);
  });
});

describe('several at once', () => {
  test('who waits for one does not hold another', async () => {
    await fail('engine', 3);
    await fail('packages', 3);
    await pass(1_000);
    await fail('packages', 1);
    const both = ask(['engine', 'packages']);
    await settled();
    expect(both.asked.isIn).toBe(false);
    const alone = ask(['engine']);
    await settled();
    expect(alone.asked.isIn).toBe(true);
  });

  test('of several only the one to blame is blamed', async () => {
    for (let i = 0; i < 3; i += 1) {
      (await circuits.admit(['engine', 'runtime:runc'], signal)).failed('runtime:runc');
    }
    expect([circuits.isFree('engine'), circuits.isFree('runtime:runc')]).toEqual([true, false]);
  });

  test('a blamed component that was not asked for is nobody', async () => {
    for (let i = 0; i < 3; i += 1) (await circuits.admit(['engine'], signal)).failed('moon');
    expect(told).toEqual([]);
  });
});

describe('going round', () => {
  const runtimes = ['runtime:runc', 'runtime:crun'] as const;

  test('the preferred one, as long as it works', async () => {
    await fail('runtime:runc', 2);
    expect(circuits.choose(runtimes)).toBe('runtime:runc');
  });

  test('another one while it is out of order', async () => {
    await fail('runtime:runc', 3);
    expect(circuits.choose(runtimes)).toBe('runtime:crun');
  });

  test('the preferred one is tried again when its time has come, by one', async () => {
    await fail('runtime:runc', 3);
    await pass(1_000);
    expect(circuits.choose(runtimes)).toBe('runtime:runc');
    using _probe = await circuits.admit(['runtime:runc'], signal);
    expect(circuits.choose(runtimes)).toBe('runtime:crun');
  });

  test('the one that is tried again soonest, where none works', async () => {
    await fail('runtime:runc', 3);
    await pass(400);
    await fail('runtime:crun', 3);
    expect(circuits.choose(runtimes)).toBe('runtime:runc');
    await pass(600);
    await fail('runtime:runc', 1);
    expect(circuits.choose(runtimes)).toBe('runtime:crun');
  });
});

test('names that nobody has trouble with take no room', async () => {
  for (let i = 0; i < 300; i += 1) await work(`host:${i}`);
  await fail('engine', 3);
  expect(circuits.isFree('engine')).toBe(false);
});

test('however many names there are, the ones that are watched are bounded', async () => {
  for (let i = 0; i < 300; i += 1) await fail(`host:${i}`, 2);
  await fail('host:299', 3);
  expect(circuits.isFree('host:299')).toBe(true);
  await fail('host:0', 1);
  expect(circuits.isFree('host:0')).toBe(false);
});
