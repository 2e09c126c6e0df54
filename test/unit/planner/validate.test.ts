import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { validateDraft, validateText, type ValidateContext } from '#daemon/planner/validate.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

const context: ValidateContext = {
  planner: 'file',
  policy: shippedPolicy('ci'),
  image: testImage,
  imageTools: testImageTools,
};
const wide = {
  ...context,
  policy: { ...context.policy, run: { ...context.policy.run, tasks: 10_000 } },
};
const task = (id: string, change: object = {}) => ({
  id,
  title: id,
  why: '',
  tool: 'node',
  args: ['a.js'],
  env: [],
  cwd: '.',
  deps: [],
  outputs: [],
  limits: {},
  onFailure: 'stop',
  ...change,
});
const draft = (...tasks: object[]) => ({ version: 1, assumptions: [], tasks });
const codes = (input: unknown, under = context) => {
  const result = validateDraft(input, under);
  return result.ok ? [] : result.findings.map((finding) => finding.code);
};
const messages = (input: unknown, under = context) => {
  const result = validateDraft(input, under);
  return result.ok ? [] : result.findings.map((finding) => finding.message);
};

test('a sound draft becomes a plan with every limit set', () => {
  const result = validateDraft(draft(task('a'), task('b', { deps: ['a', 'a'] })), context);
  if (!result.ok) throw new Error(JSON.stringify(result.findings));
  expect(result.plan.tasks[1]).toMatchObject({
    deps: ['a'],
    command: ['node', 'a.js'],
    limits: context.policy.limits,
  });
  expect(result.digest).toMatch(/^sha256:/);
});

test('inputs are kept as they are written, and a plan without any says nothing of them', () => {
  const inputs = ['src/**', '!src/gen/', '**/*.json', 'app/[id].tsx', 'src/?.ts'];
  const result = validateDraft(draft(task('a', { inputs }), task('b')), context);
  if (!result.ok) throw new Error(JSON.stringify(result.findings));
  expect(result.plan.tasks[0]?.inputs).toEqual(inputs);
  expect(result.plan.tasks[1]).not.toHaveProperty('inputs');
});

test.each<[string, object, string]>([
  ['an unknown tool', { tool: 'nodee' }, 'unknown_tool'],
  ['a tool of the language', { tool: 'constructor' }, 'unknown_tool'],
  ['a tool that the policy does not list', { tool: 'make' }, 'tool_denied'],
  ['a program that the image lacks', { tool: 'exec', args: ['gcc'] }, 'tool_missing'],
  ['an argument that its tool refuses', { tool: 'npm', args: ['publish'] }, 'argument_denied'],
  ['a NUL in an argument', { args: ['a.js', 'x\0y'] }, 'argument_denied'],
  ['a lone surrogate', { args: ['a.js', '\ud800'] }, 'argument_denied'],
  ['a path upwards', { cwd: '../x' }, 'path_denied'],
  ['inputs upwards', { inputs: ['../x/*'] }, 'path_denied'],
  ['inputs that are absolute', { inputs: ['/etc/*'] }, 'path_denied'],
  ['inputs with a NUL', { inputs: ['a\0b'] }, 'path_denied'],
  ['inputs with a backslash', { inputs: ['a\\*'] }, 'path_denied'],
  ['inputs with an empty part', { inputs: ['a//b'] }, 'path_denied'],
  ['inputs that are a dot', { inputs: ['.'] }, 'path_denied'],
  ['inputs that take nothing away', { inputs: ['a', '!'] }, 'path_denied'],
  ['inputs with braces', { inputs: ['src/{a,b}.ts'] }, 'path_denied'],
  ['inputs with stars beside letters', { inputs: ['src/**.ts'] }, 'path_denied'],
  ['inputs that only take away', { inputs: ['!docs/'] }, 'path_denied'],
  ['inputs of a wrong kind', { inputs: 'src' }, 'schema'],
  ['too many inputs', { inputs: Array.from({ length: 65 }, () => 'a') }, 'schema'],
  ['a path upwards further in', { cwd: 'a/../../x' }, 'path_denied'],
  ['an absolute path', { cwd: '/etc' }, 'path_denied'],
  ['a backslash', { cwd: 'a\\b' }, 'path_denied'],
  ['a NUL in a path', { cwd: 'a\0b' }, 'path_denied'],
  ['an empty part', { cwd: 'a//b' }, 'path_denied'],
  ['a slash at the end', { cwd: 'a/' }, 'path_denied'],
  ['a dot in a path', { cwd: './a' }, 'path_denied'],
  ['a new line in a path', { cwd: 'a\nb' }, 'path_denied'],
  [
    'the workspace as an output',
    { outputs: [{ name: 'o', path: '.', required: true }] },
    'path_denied',
  ],
  ['an output outside', { outputs: [{ name: 'o', path: '../o', required: true }] }, 'path_denied'],
  ['PATH', { env: [{ name: 'PATH', value: '/x' }] }, 'environment_denied'],
  ['LD_PRELOAD', { env: [{ name: 'LD_PRELOAD', value: '/x' }] }, 'environment_denied'],
  [
    'npm_config_registry',
    { env: [{ name: 'npm_config_registry', value: 'x' }] },
    'environment_denied',
  ],
  [
    'a name twice',
    {
      env: [
        { name: 'CI', value: '1' },
        { name: 'CI', value: '2' },
      ],
    },
    'environment_denied',
  ],
  ['a name that is not allowed', { env: [{ name: 'SECRET', value: '' }] }, 'environment_denied'],
  ['an image', { image: 'debian' }, 'schema'],
  ['a network', { network: 'host' }, 'schema'],
  ['a terminal code in a title', { title: 'a\u001b[2J' }, 'schema'],
  ['an id with a new line', { id: 'a\nb' }, 'schema'],
  ['a limit that is no size', { limits: { memory: 'much' } }, 'schema'],
  ['an unknown dependency', { deps: ['b'] }, 'unknown_dependency'],
  ['waiting for itself', { deps: ['a'] }, 'cycle'],
])('%s is refused', (_, change, code) => {
  expect(new Set(codes(draft(task('a', change))))).toContain(code);
});

test('everything that is wrong is told at once', () => {
  const found = codes(
    draft(task('a', { tool: 'x', cwd: '/' }), task('a'), task('c', { deps: ['d'] })),
  );
  expect(new Set(found)).toEqual(
    new Set(['duplicate_id', 'unknown_dependency', 'unknown_tool', 'path_denied']),
  );
});

test('a shortest cycle is shown, the longer one is not', () => {
  const found = messages(
    draft(
      task('a', { deps: ['b'] }),
      task('b', { deps: ['c'] }),
      task('c', { deps: ['a', 'd'] }),
      task('d', { deps: ['c'] }),
      task('e', { deps: ['a'] }),
    ),
  );
  expect(found).toEqual(['tasks wait for each other: c → d → c']);
});

test('outputs of tasks that are not ordered may not meet', () => {
  const out = (path: string) => ({ outputs: [{ name: 'o', path, required: true }] });
  const meets = (...tasks: object[]) => codes(draft(...tasks)).includes('output_overlap');
  expect(meets(task('a', out('dist')), task('b', out('dist')))).toBe(true);
  expect(meets(task('a', out('dist')), task('b', out('dist/x/y')))).toBe(true);
  expect(meets(task('b', out('dist/x')), task('a', out('dist')))).toBe(true);
  expect(meets(task('a', out('dist')), task('b', out('dist2')))).toBe(false);
  expect(meets(task('a', out('dist')), task('b', { ...out('dist'), deps: ['a'] }))).toBe(false);
  const chain = [
    task('a', out('d')),
    task('m', { deps: ['a'] }),
    task('b', { ...out('d/x'), deps: ['m'] }),
  ];
  expect(meets(...chain)).toBe(false);
  expect(meets(...chain, task('c', { ...out('d/x/y'), deps: ['m'] }))).toBe(true);
});

test('overlaps are found exactly where a comparison of all pairs finds them', () => {
  const paths = ['p', 'p/q', 'p/q/r', 'p/s', 't'];
  const graph = fc.array(
    fc.record({
      deps: fc.uniqueArray(fc.nat(7), { maxLength: 3 }),
      outputs: fc.uniqueArray(fc.constantFrom(...paths), { maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(graph, (nodes) => {
      const above = (i: number): Set<number> =>
        new Set(nodes[i]?.deps.filter((d) => d < i).flatMap((d) => [d, ...above(d)]));
      const clash = nodes.some((b, j) =>
        nodes
          .slice(0, j)
          .some(
            (a, i) =>
              !above(j).has(i) &&
              a.outputs.some((x) =>
                b.outputs.some((y) => `${x}/`.startsWith(`${y}/`) || `${y}/`.startsWith(`${x}/`)),
              ),
          ),
      );
      const tasks = nodes.map((node, i) =>
        task(`t${i}`, {
          deps: node.deps.filter((d) => d < i).map((d) => `t${d}`),
          outputs: node.outputs.map((path, k) => ({ name: `o${k}`, path, required: false })),
        }),
      );
      // The order in the file must not matter either.
      expect(codes(draft(...tasks.toReversed())).length > 0).toBe(clash);
    }),
    { numRuns: 500 },
  );
});

test('a limit above the policy is lowered and said so, one below it is kept', () => {
  const result = validateDraft(
    draft(task('a', { limits: { memory: '64GiB', pids: 5, timeout: '5h' } })),
    context,
  );
  if (!result.ok) throw new Error('refused');
  expect(result.clamped).toEqual([
    'a: memory 64.0 GiB lowered to 2 GiB by policy ci'.replace('64.0', '64'),
    'a: timeout 5h00m lowered to 15m00s by policy ci',
  ]);
  expect(result.plan.tasks[0]?.limits).toEqual({ ...context.policy.limits, pids: 5 });
});

test('packages are refused where the policy allows no registry', () => {
  const strict = { ...context, policy: shippedPolicy('strict') };
  expect(codes(draft(task('a', { tool: 'npm', args: ['ci'] })), strict)).toEqual(['tool_denied']);
});

test.each([
  ['not JSON', '{', 'not_json'],
  ['nothing', '', 'not_json'],
  ['lists without end', '['.repeat(100_000) + ']'.repeat(100_000), 'schema'],
  ['objects without end', '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000), 'schema'],
  ['__proto__', '{"__proto__":{"version":1}}', 'schema'],
  ['more than 4 MiB', `"${'x'.repeat(5_000_000)}"`, 'too_large'],
])('%s is one finding, not a crash', (_, text, code) => {
  const result = validateText(text, context);
  expect(result.ok ? [] : result.findings.map((finding) => finding.code)).toEqual([code]);
});

test('any JSON gets findings or a plan, never an exception', () => {
  const part = fc.oneof(fc.jsonValue(), fc.constant(task('a')), fc.constant('a'));
  const nearly = fc.record({
    version: fc.constantFrom(1, 2),
    assumptions: fc.constantFrom([], ['x'], 7),
    tasks: fc.oneof(
      fc.array(part),
      fc.array(
        fc.record(
          Object.fromEntries(
            Object.entries(task('a')).map(([key, value]) => [
              key,
              fc.oneof(
                { weight: 3, arbitrary: fc.constant(value) },
                { weight: 1, arbitrary: fc.jsonValue() },
              ),
            ]),
          ),
        ),
      ),
    ),
  });
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), nearly), (input) => {
      const result = validateDraft(input, context);
      expect(result.ok || result.findings.length > 0).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test('ten thousand tasks with outputs are one plan, in a chain and side by side', () => {
  const out = (path: string) => [{ name: 'o', path, required: true }];
  const chain = Array.from({ length: 10_000 }, (_, i) =>
    task(`t${i}`, { deps: i === 0 ? [] : [`t${i - 1}`], outputs: out('dist') }),
  );
  expect(codes(draft(...chain), wide)).toEqual([]);
  const beside = Array.from({ length: 10_000 }, (_, i) =>
    task(`t${i}`, { deps: i === 0 ? [] : ['t0'], outputs: i === 0 ? [] : out(`dist/${i}`) }),
  );
  expect(codes(draft(...beside), wide)).toEqual([]);
  expect(codes(draft(...beside), context)).toEqual(['too_many']);
  const ring = chain.map((one, i) => ({ ...one, deps: [`t${(i + 1) % 10_000}`] }));
  expect(messages(draft(...ring), wide)).toEqual([
    expect.stringMatching(/: t0 → t1 → .* 9990 more → .* → t0$/),
  ]);
});
