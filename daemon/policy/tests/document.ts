import { z } from 'zod';
import { readYaml } from '../../base/yaml.ts';
import { inputTable, type InputNode, type InputType, type PolicyInput } from '../input.ts';
import { defaultInput } from '../space/default-input.ts';

export type PolicyCase = {
  name: string;
  line: number;
  input: PolicyInput;
  expect: 'allow' | 'deny' | 'ask';
  rule?: string | undefined;
  profile?: string | undefined;
  approvals?: number | undefined;
};

const testBytesMax = 1024 * 1024;
const casesMax = 10_000;
const path = (...words: (string | number)[]) => words;

/**
 * The cases of a `NAME.test.yaml`, or `policy.invalid` with every place that is wrong. What a case
 * leaves out of its input is as `defaults` of the file has it, and then as in `defaultInput`.
 */
export function parseCases(text: string, file: string): PolicyCase[] {
  const { value, locate } = readYaml(text, {
    file,
    schema: CasesDocument,
    code: 'policy.invalid',
    maxBytes: testBytesMax,
  });
  const base = merge(defaultInput, value.defaults ?? {}) as PolicyInput;
  return value.cases.map(({ input, ...one }, i) => ({
    ...one,
    line: locate(path('cases', i)).line,
    input: merge(base, input) as PolicyInput,
  }));
}

type Shape = Readonly<Record<string, InputNode>>;

const typed: Readonly<Record<InputType, () => z.ZodType>> = {
  int: () => z.number().int(),
  bool: () => z.boolean(),
  string: () => z.string().max(65_536),
  strings: () => z.array(z.string().max(65_536)).max(10_000),
  map: () => z.record(z.string().max(256), z.string().max(65_536)),
};

const Input = partial(inputTable);

const CasesDocument = z.strictObject({
  version: z.literal(1),
  defaults: Input.optional(),
  cases: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(200),
        input: Input.default({}),
        expect: z.enum(['allow', 'deny', 'ask']),
        /** One of those that decide: `no-root`, or `default/no-root`. */
        rule: z.string().min(1).max(128).optional(),
        profile: z.string().min(1).max(63).optional(),
        approvals: z.number().int().min(1).max(10).optional(),
      }),
    )
    .min(1)
    .max(casesMax),
});

function partial(fields: Shape): z.ZodObject {
  return z.strictObject(
    Object.fromEntries(
      Object.entries(fields).map(([name, node]) => [name, nodeOf(node).optional()]),
    ),
  );
}

function nodeOf(node: InputNode): z.ZodType {
  if ('fields' in node) return partial(node.fields);
  if ('list' in node) {
    const whole = Object.entries(node.list).map(([name, [type]]) => [name, typed[type]()] as const);
    return z.array(z.strictObject(Object.fromEntries(whole))).max(1000);
  }
  return typed[node[0]]();
}

/** Objects are joined key by key, `env` too; lists are taken as they are. */
function merge(below: unknown, above: unknown): unknown {
  if (above === undefined) return below;
  if (!isFields(below) || !isFields(above) || Object.keys(below).length === 0) return above;
  const merged = Object.fromEntries(
    Object.entries(below).map(([key, value]) => [
      key,
      Object.hasOwn(above, key) ? merge(value, above[key]) : value,
    ]),
  );
  return { ...above, ...merged };
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
