import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '#contract/plan.ts';
import { policyCodes } from '../planner.ts';
import type { JsonSchema, Model, Turn } from './model.ts';
import { repairTurn } from './prompt.ts';
import type { ModelSettings } from './settings.ts';
import type { Spending } from './spending.ts';
import { ModelTrouble, troubleOf } from './trouble.ts';
import { watched } from './watched.ts';

export type Question<D> = {
  system: string;
  first: string;
  schema: JsonSchema;
  /** An answer's text → what it says, or why it says nothing. Never throws. */
  read(text: string): { ok: true; draft: D } | { ok: false; findings: readonly Finding[] };
  /** What is asked for once more, in words. */
  wanted: string;
};

export type Talk = {
  settings: ModelSettings;
  model: Model;
  spending: Spending;
  /** Milliseconds of a clock that never goes back, and by when it has to be over. */
  now: () => number;
  untilMs: number;
  signal: AbortSignal;
  pauseMs: number;
  /** Said before each question leaves, with all that leaves. */
  asking: (question: { round: number; bytes: number }) => Promise<void>;
};

/** A draft that is sound, or everything that is wrong with it. */
export type Judged<T> = { ok: true; value: T } | { ok: false; findings: readonly Finding[] };
type Judge<D, T> = (draft: D) => Promise<Judged<T>>;

const repairsMax = 2;
const pauseMaxMs = 10_000;

/**
 * Asks until there is a draft that `judge` takes: what passes is tried once more, an answer that
 * was cut is asked for once with twice the room, and what is wrong with a plan is said twice at
 * most. Throws the `ModelTrouble` that it ended with.
 */
export async function talk<D, T>(
  how: Talk,
  question: Question<D>,
  judge: Judge<D, T>,
): Promise<{ value: T; rounds: number }> {
  const turns: Turn[] = [{ role: 'user', text: question.first }];
  const room = { outputTokens: how.settings.outputTokens, wasDoubled: false };
  let hasPaused = false;
  let repairs = 0;
  for (let round = 1; ; round += 1) {
    let text: string;
    try {
      text = await askOnce(how, question, turns, room.outputTokens, round);
    } catch (error) {
      // Anything else is no matter of the provider: the log takes nothing, or the mistake is ours.
      if (!(error instanceof ModelTrouble)) throw error;
      const trouble = error;
      if (trouble.hasOtherWay) continue;
      if (trouble.code === 'truncated' && !room.wasDoubled) {
        room.wasDoubled = true;
        room.outputTokens *= 2;
        continue;
      }
      if (!passes(trouble) || hasPaused || !(await pause(how, trouble))) throw trouble;
      hasPaused = true;
      continue;
    }
    const read = question.read(text);
    const judged = read.ok ? await judge(read.draft) : read;
    if (judged.ok) return { value: judged.value, rounds: round };
    repairs += 1;
    if (repairs > repairsMax) throw notMended(judged.findings);
    turns.push({ role: 'assistant', text: text === '' ? '(nothing)' : text });
    turns.push({ role: 'user', text: repairTurn(judged.findings, question.wanted) });
  }
}

async function askOnce(
  { settings, model, spending, now, untilMs, signal, asking }: Talk,
  { system, schema }: Pick<Question<unknown>, 'system' | 'schema'>,
  turns: readonly Turn[],
  wanted: number,
  round: number,
): Promise<string> {
  const leftMs = untilMs - now();
  if (leftMs <= 0) throw new ModelTrouble('timeout', 'the time for planning was up');
  const bytes = bytesOf([system, JSON.stringify(schema), ...turns.map(({ text }) => text)]);
  const outputTokens = spending.outputTokens(bytes, wanted);
  await asking({ round, bytes });
  try {
    const times = { idleMs: settings.idleMs, totalMs: leftMs };
    const answer = await watched(signal, times, (watch) =>
      model.ask({ system, turns, schema, outputTokens }, watch),
    );
    spending.add(answer.usage, bytes);
    return answer.text;
  } catch (error) {
    signal.throwIfAborted();
    const trouble = troubleOf(error);
    const { code, usage } = trouble;
    // What was refused at the door was not paid for, as far as anybody can know.
    if (usage !== undefined || !unpaid.includes(code)) spending.add(usage, bytes);
    throw trouble;
  }
}

const unpaid: readonly string[] = ['key', 'auth', 'billing', 'config', 'rate_limit', 'overloaded'];

function notMended(findings: readonly Finding[]): ModelTrouble {
  const denied = findings.every(({ code }) => policyCodes.includes(code));
  return denied
    ? new ModelTrouble('denied', 'the policy allows none of its plans')
    : new ModelTrouble('invalid', 'none of its plans is sound');
}

function passes({ code }: ModelTrouble): boolean {
  return ['rate_limit', 'overloaded', 'network', 'timeout'].includes(code);
}

/** Waits before the second try; false where that is too long or the time is up. */
async function pause(
  { now, untilMs, signal, pauseMs }: Talk,
  { retryAfterMs }: ModelTrouble,
): Promise<boolean> {
  const ms = retryAfterMs ?? pauseMs;
  // Half of what is left: somebody has to answer after the pause as well.
  if (ms > pauseMaxMs || ms > (untilMs - now()) / 2) return false;
  await sleep(ms, undefined, { signal });
  return true;
}

function bytesOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}
