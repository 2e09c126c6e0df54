import type { PolicyInput } from '../input.ts';
import type { Dimension, Value } from './dimensions.ts';

/** For each dimension which of its values; -1 is what the base has. */
export type Choice = readonly number[];

export type Space = {
  base: PolicyInput;
  dimensions: readonly Dimension[];
  /** Gives a task the arguments of its tool, where nothing is said of them. */
  settle: (input: PolicyInput) => PolicyInput;
};

/** How many inputs there are where every value meets every other; `Infinity` where that is absurd. */
export function sizeOf({ dimensions }: Pick<Space, 'dimensions'>): number {
  let size = 1;
  for (const { values } of dimensions) {
    size *= values.length;
    if (size > Number.MAX_SAFE_INTEGER) return Infinity;
  }
  return size;
}

/** Every combination of values. Ask `sizeOf` first. */
export function* everyChoice({ dimensions }: Pick<Space, 'dimensions'>): Generator<number[]> {
  const choice = dimensions.map(() => 0);
  for (;;) {
    yield [...choice];
    let i = 0;
    for (; i < choice.length; i += 1) {
      const next = (choice[i] ?? 0) + 1;
      if (next < (dimensions[i]?.values.length ?? 0)) {
        choice[i] = next;
        break;
      }
      choice[i] = 0;
    }
    if (i === choice.length) return;
  }
}

/**
 * At most `max` of them, the same ones each time: the base, all first values, each value alone, each pair of values,
 * then any, by a fixed seed.
 */
export function* someChoices(
  { dimensions }: Pick<Space, 'dimensions'>,
  max: number,
): Generator<number[]> {
  let left = max;
  const base = dimensions.map(() => -1);
  const random = sequence(20_011);
  for (const choice of series(dimensions, base, random)) {
    if (left-- <= 0) return;
    yield choice;
  }
}

function* series(
  dimensions: readonly Dimension[],
  base: number[],
  random: () => number,
): Generator<number[]> {
  yield base;
  if (dimensions.length === 0) return;
  // The values that conditions name come first: what all of them ask for at once.
  yield base.map(() => 0);
  for (const [i, { values }] of dimensions.entries()) {
    for (const v of values.keys()) yield base.with(i, v);
  }
  for (const [i, { values }] of dimensions.entries()) {
    for (const [j, { values: others }] of dimensions.entries()) {
      if (j <= i) continue;
      for (const v of values.keys()) {
        for (const w of others.keys()) yield base.with(i, v).with(j, w);
      }
    }
  }
  for (;;) {
    yield dimensions.map(({ values }) => Math.floor(random() * (values.length + 1)) - 1);
  }
}

/** The input that a choice means. Shares with the base what it does not change. */
export function inputFor({ base, dimensions, settle }: Space, choice: Choice): PolicyInput {
  let input: object = base;
  let [tool, args] = [false, false];
  for (const [i, chosen] of choice.entries()) {
    const dimension = dimensions[i];
    if (chosen < 0 || dimension === undefined) continue;
    input = withValue(input, dimension.path, dimension.values[chosen]);
    const path = dimension.path.join('.');
    tool ||= path === 'task.tool';
    args ||= path === 'task.args';
  }
  return tool && !args ? settle(input as PolicyInput) : (input as PolicyInput);
}

/** What of an input differs from the base, place by place. */
export function differences(
  { base, dimensions }: Space,
  choice: Choice,
): { path: string; value: Value }[] {
  return choice.flatMap((chosen, i) => {
    const dimension = dimensions[i];
    if (chosen < 0 || dimension === undefined) return [];
    const value = dimension.values[chosen];
    if (JSON.stringify(valueAt(base, dimension.path)) === JSON.stringify(value)) return [];
    return [{ path: dimension.path.join('.'), value }];
  });
}

/** As few differences from the base as still keep what `holds` says. */
export function smallest(choice: Choice, holds: (choice: Choice) => boolean): Choice {
  let least = choice;
  for (let isDone = false; !isDone;) {
    const before = least;
    for (const i of choice.keys()) {
      if ((least[i] ?? -1) < 0) continue;
      const fewer = least.with(i, -1);
      if (holds(fewer)) least = fewer;
    }
    // One that could not go before may go without another one.
    isDone = least === before;
  }
  return least;
}

function withValue(holder: object, [word, ...rest]: readonly string[], value: Value): object {
  if (word === undefined) return holder;
  const found = (holder as Record<string, unknown>)[word];
  if (rest.length > 0) {
    const inner = typeof found === 'object' && found !== null ? found : {};
    return { ...holder, [word]: withValue(inner, rest, value) };
  }
  if (value !== undefined) return { ...holder, [word]: value };
  return Object.fromEntries(Object.entries(holder).filter(([key]) => key !== word));
}

function valueAt(holder: unknown, path: readonly string[]): unknown {
  let here = holder;
  for (const word of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, word)) return undefined;
    here = (here as Record<string, unknown>)[word];
  }
  return here;
}

/** Numbers from 0 to 1 that look random and are the same each time (mulberry32). */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
