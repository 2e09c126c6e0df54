import type { Environment } from '@marcbachmann/cel-js';
import type { PolicyInput } from '../input.ts';
import type { Verdict } from '../invariants/verdict.ts';
import { openLanguage, Patterns, type ConditionKind, type Context } from './language.ts';
import { walk, type Problem } from './walk.ts';

export type { ConditionKind, Context } from './language.ts';
export type { Problem } from './walk.ts';

/** A condition that can be asked, and how many steps it takes at most. It never throws. */
export type Condition = {
  steps: number;
  holds(context: Context): boolean | 'error';
};

export type Compiled = { ok: true; condition: Condition } | { ok: false; problems: Problem[] };

export type Compiler = {
  compile(text: string, kind: ConditionKind): Compiled;
  /** Throws where the input is not what the table says. */
  context(input: PolicyInput, verdict?: Verdict): Context;
};

/** Steps of one condition, whatever the input. Around 20 million of them take a second. */
export const conditionStepsMax = 200_000;

/** For the conditions of one document. */
export function openCompiler(): Compiler {
  const patterns = new Patterns();
  const language = openLanguage(patterns);
  const made = new Map<ConditionKind, Environment>();
  const environmentOf = (kind: ConditionKind): Environment => {
    const known = made.get(kind) ?? language.of(kind);
    made.set(kind, known);
    return known;
  };
  return {
    context(input, verdict) {
      patterns.begin();
      return language.context(input, verdict);
    },
    compile: (text, kind) => compile(text, kind, environmentOf(kind), patterns),
  };
}

function compile(
  text: string,
  kind: ConditionKind,
  environment: Environment,
  patterns: Patterns,
): Compiled {
  try {
    const parsed = environment.parse(text);
    const { problems, steps } = walk(parsed.ast, kind, patterns);
    if (problems.length > 0) return { ok: false, problems };
    const { valid, type, error } = parsed.check();
    if (!valid) return { ok: false, problems: [problemOf(error)] };
    if (type !== 'bool') {
      const message = `a condition says true or false, and this is ${type ?? 'unknown'}`;
      return { ok: false, problems: [{ offset: 0, message }] };
    }
    if (steps > conditionStepsMax) {
      const message = `it could take ${steps} steps, and ${conditionStepsMax} are allowed`;
      return { ok: false, problems: [{ offset: 0, message }] };
    }
    return {
      ok: true,
      condition: {
        steps,
        holds(context) {
          try {
            const value: unknown = parsed(context);
            return typeof value === 'boolean' ? value : 'error';
          } catch {
            return 'error';
          }
        },
      },
    };
  } catch (error) {
    return { ok: false, problems: [problemOf(error)] };
  }
}

// The library's own: a word for what is wrong, and where.
function problemOf(error: unknown): Problem {
  const { summary, range } = error as { summary?: unknown; range?: { start?: unknown } };
  const message = typeof summary === 'string' ? limitWords(summary) : 'it cannot be read';
  const offset = typeof range?.start === 'number' ? range.start : 0;
  return { offset, message: lower(message.split('\n', 1)[0] ?? '').slice(0, 300) };
}

function limitWords(summary: string): string {
  const [, name, max] = /^Exceeded max(\w+) \((\d+)\)$/.exec(summary) ?? [];
  if (name === undefined) return summary;
  if (name === 'MapEntries') return 'maps cannot be written out';
  const words = name.replaceAll(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return `too large: more than ${max} ${words}`;
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
