import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { draftSchema } from '#daemon/planner/models/draft-schema.ts';
import { readDraft } from '#daemon/planner/models/read-draft.ts';
import { validateDraft } from '#daemon/planner/validate.ts';
import { transformJSONSchema } from '@anthropic-ai/sdk/lib/transform-json-schema';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';
import { said, saidPlan } from '#test/support/planning.ts';

const codesOf = (text: string) => {
  const read = readDraft(text);
  return read.ok
    ? 'ok'
    : read.findings.map(({ code, message }) => `${code}: ${message}`).join('; ');
};

describe('an answer is refused', () => {
  test('that holds no plan', () => {
    for (const text of [
      '',
      'I cannot help with that.',
      '[]',
      '42',
      'null',
      '{',
      '{"a":1} {"b":2}',
    ]) {
      expect(readDraft(text).ok, text).toBe(false);
    }
  });

  test('that holds two plans which are not the same', () => {
    expect(codesOf(`${saidPlan({})}\n${saidPlan({ id: 'other' })}`)).toContain('2 different plans');
  });

  test('with a plan that is hidden in a string of another object', () => {
    expect(readDraft(JSON.stringify({ note: saidPlan({}) })).ok).toBe(false);
  });

  test('with keys that mean something to the language, or without end to its depth', () => {
    expect(codesOf('{"tasks":[{"id":"a","tool":"npm","__proto__":{"x":1}}]}')).toContain(
      '__proto__',
    );
    const deep = `{"tasks":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    expect(codesOf(deep)).toMatch(/nested deeper|not_json/);
  });

  test('with more tasks than a model may say', () => {
    const many = JSON.stringify({
      assumptions: [],
      tasks: Array.from({ length: 201 }, (_, i) => said({ id: `t${i}` })),
    });
    expect(readDraft(many).ok).toBe(false);
  });
});

test('what is left out has its usual meaning, for servers that hold nobody to a schema', () => {
  const read = readDraft('{"tasks":[{"id":"a","tool":"npm","args":["test"]}]}');
  expect(read).toMatchObject({
    ok: true,
    draft: { tasks: [{ id: 'a', cwd: '.', deps: [], onFailure: 'stop', limits: {} }] },
  });
});

test('any text whatsoever gives findings or a draft, in no time, and never an exception', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '{',
      '}',
      '"',
      '\\',
      '[',
      ']',
      '```json\n',
      '<think>',
      '</think>',
      saidPlan({}),
    ),
    fc.json(),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const read = readDraft(pieces.join(''));
      return read.ok || read.findings.length > 0;
    }),
    { numRuns: 1_000 },
  );
});

test('half a million braces cost a moment', () => {
  for (const text of [
    '{'.repeat(500_000),
    '{}'.repeat(250_000),
    '{"'.repeat(250_000),
    '"\\'.repeat(250_000),
  ]) {
    expect(readDraft(text).ok).toBe(false);
  }
});

test('whatever a model says of a task, what comes through is in the words of a plan and nothing else', () => {
  const words =
    'id title why tool args env cwd deps inputs outputs sideEffects retries limits onFailure'.split(
      ' ',
    );
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (more) => {
      const read = readDraft(
        JSON.stringify({ assumptions: [], tasks: [{ ...said({}), ...more }] }),
      );
      if (!read.ok) return;
      for (const key of Object.keys(read.draft.tasks[0] ?? {})) expect(words).toContain(key);
      expect(Object.keys(read.draft.tasks[0]?.limits ?? {})).toSatisfy((keys: string[]) =>
        keys.every((key) => key === 'timeout'),
      );
      // And what the validator makes of it is a plan or findings.
      validateDraft(read.draft, {
        planner: 'x',
        policy: shippedPolicy('default'),
        image: testImage,
        imageTools: testImageTools,
      });
    }),
  );
});

describe('the schema', () => {
  const schema = draftSchema(['npm', 'node']);

  test('goes to Anthropic as it is: its helper has nothing to take away or to turn into words', () => {
    // But that a list of words needs no type beside it, which OpenAI wants to see.
    const bare = JSON.parse(JSON.stringify(schema), (_, node: Record<string, unknown>) => {
      if (typeof node !== 'object' || node === null || !('enum' in node)) return node;
      const { type: _type, ...rest } = node;
      return rest;
    }) as unknown;
    expect(transformJSONSchema(schema as never)).toEqual(bare);
  });

  test('keeps to what OpenAI takes as strict: objects closed, every key required, one root object', () => {
    const objects: { properties: object; required: string[]; additionalProperties: unknown }[] = [];
    const keys = new Set<string>();
    const walk = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return;
      if (Array.isArray(node)) return node.forEach(walk);
      const one = node as Record<string, unknown>;
      if (one['type'] === 'object') objects.push(one as never);
      for (const [key, value] of Object.entries(one)) {
        if (key === 'properties') Object.values(value as object).forEach(walk);
        else {
          keys.add(key);
          walk(value);
        }
      }
    };
    walk(schema);
    expect(schema['type']).toBe('object');
    expect(objects.length).toBe(4);
    for (const { properties, required, additionalProperties } of objects) {
      expect(additionalProperties).toBe(false);
      expect(required.toSorted()).toEqual(Object.keys(properties).toSorted());
    }
    const known = [
      'type',
      'required',
      'additionalProperties',
      'items',
      'description',
      'enum',
      'anyOf',
    ];
    expect([...keys].filter((key) => !known.includes(key))).toEqual([]);
    // What the SDK's own helper makes of a like shape has the same marks.
    const format = zodTextFormat(z.object({ a: z.string().nullable() }), 'plan');
    expect(format.strict).toBe(true);
  });

  test('has no word for power', () => {
    const words = JSON.stringify(schema);
    for (const word of [
      'image',
      'mount',
      'user',
      'network',
      'secret',
      'memory',
      'capabilit',
      'lock',
    ]) {
      expect(words).not.toContain(`"${word}`);
    }
  });

  test('says what the reader of answers takes', () => {
    expect(readDraft(saidPlan({})).ok).toBe(true);
    const task = (schema['properties'] as { tasks: { items: { required: string[] } } }).tasks.items;
    expect(task.required.toSorted()).toEqual(Object.keys(said({})).toSorted());
  });
});
