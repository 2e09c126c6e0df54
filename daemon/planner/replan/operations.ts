import { z } from 'zod';
import { DraftTask, type Finding } from '#contract/plan.ts';
import { operationsMax } from '#contract/replan.ts';
import { explainIssues } from '../../base/schema-issues.ts';
import { cutText } from '../../base/text.ts';
import { findHostile } from '../hostile.ts';
import type { JsonSchema } from '../models/model.ts';
import { draftSchema } from '../models/draft-schema.ts';
import { findJson, ModelTask, taskDraft } from '../models/read-draft.ts';

/** What may be done to a plan of which a part is done. */
export type Operation =
  | { op: 'add'; task: DraftTask }
  | { op: 'replace'; id: string; task: DraftTask }
  | { op: 'drop'; id: string }
  | { op: 'set_deps'; id: string; deps: string[] };

export type ReadOperations =
  { ok: true; operations: Operation[] } | { ok: false; findings: Finding[] };

const Said = z.strictObject({
  operations: z
    .array(
      z.strictObject({
        op: z.enum(['add', 'replace', 'drop', 'set_deps']),
        id: z.string(),
        deps: z.array(z.string()).nullable().default(null),
        task: ModelTask.nullable().default(null),
      }),
    )
    .min(1)
    .max(operationsMax),
});

/** As every provider takes it: see `draftSchema`. */
export function operationsSchema(tools: readonly string[]): JsonSchema {
  const { properties } = draftSchema(tools) as { properties: { tasks: { items: JsonSchema } } };
  const operation = {
    op: {
      type: 'string',
      enum: ['add', 'replace', 'drop', 'set_deps'],
      description: 'replace: another task in its place. set_deps: what it waits for is different.',
    },
    id: { type: 'string', description: 'The task that is meant; of one to add, its new id.' },
    deps: {
      anyOf: [{ type: 'array', items: { type: 'string' } }, { type: 'null' }],
      description: 'For set_deps, all of them; else null.',
    },
    task: {
      anyOf: [properties.tasks.items, { type: 'null' }],
      description: 'For add and replace; else null.',
    },
  };
  return closed({ operations: { type: 'array', items: closed(operation) } });
}

function closed(properties: Record<string, unknown>): JsonSchema {
  const required = Object.keys(properties);
  return { type: 'object', properties, required, additionalProperties: false };
}

/** A model's text → operations, or what is wrong with it. Never throws. */
export function readOperations(text: string): ReadOperations {
  const found = findJson(text, 'operations');
  if (typeof found === 'string') return refuse([{ code: 'not_json', message: found }]);
  const hostile = findHostile(found.value);
  if (hostile.length > 0) return refuse(hostile);
  const parsed = Said.safeParse(found.value);
  if (!parsed.success) return refuse(issues(parsed.error, Said, found.value, []));
  const operations: Operation[] = [];
  const findings: Finding[] = [];
  for (const [i, said] of parsed.data.operations.entries()) {
    const read = operationOf(said, i);
    if ('op' in read) operations.push(read);
    else findings.push(...read.findings);
  }
  return findings.length > 0 ? refuse(findings) : { ok: true, operations };
}

type SaidOperation = z.infer<typeof Said>['operations'][number];

function operationOf(
  { op, id, deps, task }: SaidOperation,
  at: number,
): Operation | { findings: Finding[] } {
  const missing = (what: string) => ({
    findings: [
      {
        code: 'schema' as const,
        pointer: `/operations/${at}/${what}`,
        message: `${op} needs ${what}`,
      },
    ],
  });
  if (op === 'drop') return { op, id };
  if (op === 'set_deps') return deps === null ? missing('deps') : { op, id, deps };
  if (task === null) return missing('task');
  const draft = taskDraft(task);
  const parsed = DraftTask.safeParse(draft);
  if (!parsed.success) {
    return { findings: issues(parsed.error, DraftTask, draft, ['operations', at, 'task']) };
  }
  return op === 'add' ? { op, task: parsed.data } : { op, id, task: parsed.data };
}

function issues(
  error: z.ZodError,
  schema: z.ZodType,
  value: unknown,
  under: readonly (string | number)[],
): Finding[] {
  return explainIssues(error, schema, value).map(({ path, message, hint }) => ({
    code: 'schema',
    pointer: [...under, ...path].map((part) => `/${cutText(String(part), 64)}`).join(''),
    message,
    ...(hint === undefined ? {} : { hint }),
  }));
}

function refuse(findings: Finding[]): ReadOperations {
  return { ok: false, findings };
}
