import { z } from 'zod';
import type { Finding } from '#contract/plan.ts';
import { canonicalJson } from '../../base/canonical.ts';
import { explainIssues } from '../../base/schema-issues.ts';
import { cutText } from '../../base/text.ts';
import { findHostile } from '../hostile.ts';
import type { DraftInput } from '../plan-file.ts';

/**
 * The answer of a model, by shape. Lenient in what is left out, because not every server can be
 * held to a schema, and strict in what is there: a key that has no meaning is a finding. Secrets,
 * locks and limits other than time are not for models to name.
 */
export const ModelTask = z.strictObject({
  id: z.string(),
  title: z.string().default(''),
  why: z.string().default(''),
  tool: z.string(),
  args: z.array(z.string()).default([]),
  env: z.array(z.strictObject({ name: z.string(), value: z.string() })).default([]),
  cwd: z.string().default('.'),
  deps: z.array(z.string()).default([]),
  inputs: z.array(z.string()).default([]),
  outputs: z
    .array(
      z.strictObject({
        name: z.string(),
        path: z.string(),
        required: z.boolean().default(true),
      }),
    )
    .default([]),
  side_effects: z.boolean().default(false),
  retries: z.number().int().nullable().default(null),
  timeout_seconds: z.number().int().min(1).max(10_000_000).nullable().default(null),
  on_failure: z.enum(['stop', 'continue']).default('stop'),
});

const ModelDraft = z.strictObject({
  version: z.literal(1).optional(),
  assumptions: z.array(z.string()).max(100).default([]),
  tasks: z.array(ModelTask).min(1).max(200),
});

export type ReadDraft = { ok: true; draft: DraftInput } | { ok: false; findings: Finding[] };

/** A model's text → a draft in the words of every planner, or what is wrong with it. Never throws. */
export function readDraft(text: string): ReadDraft {
  const found = findJson(text);
  if (typeof found === 'string') return refuse([{ code: 'not_json', message: found }]);
  const hostile = findHostile(found.value);
  if (hostile.length > 0) return refuse(hostile);
  const parsed = ModelDraft.safeParse(found.value);
  if (!parsed.success) {
    return refuse(
      explainIssues(parsed.error, ModelDraft, found.value).map(({ path, message, hint }) => ({
        code: 'schema' as const,
        pointer: path.map((part) => `/${cutText(String(part), 64)}`).join(''),
        message,
        ...(hint === undefined ? {} : { hint }),
      })),
    );
  }
  return { ok: true, draft: draftOf(parsed.data) };
}

function refuse(findings: Finding[]): ReadDraft {
  return { ok: false, findings };
}

function draftOf({ assumptions, tasks }: z.infer<typeof ModelDraft>): DraftInput {
  return {
    version: 1,
    assumptions: assumptions.slice(0, 10).map((words) => shown(words, 300)),
    tasks: tasks.map(taskDraft),
  };
}

/** A task in the words of a draft. */
export function taskDraft(task: z.infer<typeof ModelTask>): DraftInput['tasks'][number] {
  return {
    id: task.id,
    title: shown(task.title, 120),
    why: shown(task.why, 300),
    tool: task.tool,
    args: task.args,
    env: task.env,
    cwd: task.cwd,
    deps: task.deps,
    inputs: task.inputs,
    outputs: task.outputs,
    sideEffects: task.side_effects,
    ...(task.retries === null ? {} : { retries: task.retries }),
    limits: task.timeout_seconds === null ? {} : { timeout: `${task.timeout_seconds}s` },
    onFailure: task.on_failure,
  };
}

// Words for people, from outside: one line, and nothing that moves a cursor or turns text around.
function shown(words: string, max: number): string {
  return cutText(words.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim(), max);
}

const candidatesMax = 16;

/**
 * The one object with tasks, or another key, that an answer holds: alone, in a fence, after thoughts or between
 * sentences, or twice the same. Two different ones are none: nobody can say which was meant.
 */
export function findJson(text: string, key = 'tasks'): { value: unknown } | string {
  const bare = text.replace(/^\ufeff/, '').replace(/^\s*<think>[^]*?<\/think>/, '');
  try {
    return { value: JSON.parse(bare) };
  } catch {
    // Then it is somewhere in there.
  }
  const found = new Map<string, unknown>();
  for (const piece of objectsIn(bare)) {
    try {
      const value: unknown = JSON.parse(piece);
      if (typeof value !== 'object' || value === null || !(key in value)) continue;
      found.set(sameAs(value), value);
    } catch {
      continue;
    }
  }
  const [first] = found.values();
  if (found.size === 0) return `there is no JSON object with ${key} in the answer`;
  if (found.size > 1) return `there are ${found.size} different plans in the answer, give one`;
  return { value: first };
}

function sameAs(value: unknown): string {
  try {
    return canonicalJson(value);
  } catch {
    return JSON.stringify(value);
  }
}

// Balanced braces at the top, strings respected. One pass, whatever the text.
function* objectsIn(text: string): Generator<string> {
  let [depth, start, given] = [0, 0, 0];
  let isText = false;
  for (let i = 0; i < text.length; i += 1) {
    const sign = text[i];
    if (isText) {
      if (sign === '\\') i += 1;
      else if (sign === '"') isText = false;
    } else if (sign === '"') isText = depth > 0;
    else if (sign === '{') {
      if (depth === 0) start = i;
      depth += 1;
    } else if (sign === '}' && depth > 0) {
      depth -= 1;
      if (depth > 0) continue;
      yield text.slice(start, i + 1);
      given += 1;
      if (given >= candidatesMax) return;
    }
  }
}
