import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errorTable, type ErrorCode } from '#contract/errors.ts';
import { recordTypes } from '#contract/records.ts';
import { attemptOutcomes, type FailureClass, LimitName } from '#contract/run.ts';
import { classify, failureRules } from '#daemon/runs/failures/classify.ts';
import type { AttemptFacts } from '#daemon/runs/failures/facts.ts';
import { hintCatalog } from '#daemon/sandbox/hint-catalog.ts';

const facts = (more: Partial<AttemptFacts> = {}): AttemptFacts => ({
  run: 'r-0123456789',
  task: 'test:unit',
  attempt: 1,
  outcome: 'failed',
  exitCode: 1,
  ...more,
});
const failing = (errorCode: ErrorCode, more: Partial<AttemptFacts> = {}) =>
  facts({ errorCode, exitCode: undefined, ...more });

type Row = [what: string, facts: AttemptFacts, rule: string, of: FailureClass];
const rows: Row[] = [
  ['a cancelled one', facts({ outcome: 'cancelled', exitCode: 143 }), 'cancelled', 'unknown'],
  ['one that a stopping daemon cut off', failing('daemon.stopping'), 'cancelled', 'unknown'],
  [
    'one that the filter killed',
    facts({ outcome: 'violated', exitCode: 159, signal: 'SIGSYS' }),
    'seccomp-killed',
    'policy',
  ],
  ['a violation of another kind', facts({ outcome: 'violated' }), 'violation', 'policy'],
  [
    'its own time',
    facts({ outcome: 'timed_out', exitCode: 137, limit: { name: 'timeout' } }),
    'own-timeout',
    'timeout',
  ],
  [
    'its silence',
    facts({ outcome: 'timed_out', exitCode: 137, limit: { name: 'idle' } }),
    'own-silence',
    'timeout',
  ],
  ['the time of the run', facts({ outcome: 'timed_out', exitCode: 143 }), 'run-timeout', 'timeout'],
  ['a lost one', facts({ outcome: 'lost', exitCode: undefined }), 'lost', 'infra_transient'],
  [
    'one that nobody saw end',
    facts({ outcome: 'unknown', exitCode: undefined }),
    'outcome-unknown',
    'infra_transient',
  ],
  [
    'an engine that went away',
    failing('engine.unavailable', { outcome: 'unknown' }),
    'engine-lost',
    'infra_transient',
  ],
  ['an engine that refused', failing('engine.failed'), 'engine-refused', 'infra_transient'],
  ['a name that was taken', failing('engine.conflict'), 'name-taken', 'infra_transient'],
  ['layers that do not arrive', failing('engine.not_connected'), 'engine-apart', 'infra_permanent'],
  ['a missing image', failing('image.unknown'), 'image-missing', 'config'],
  ['another image', failing('image.changed', { outcome: 'violated' }), 'image-changed', 'policy'],
  ['a denied task', failing('policy.denied', { outcome: 'violated' }), 'policy-denied', 'policy'],
  [
    'another sandbox',
    failing('sandbox.mismatch', { outcome: 'violated' }),
    'sandbox-mismatch',
    'policy',
  ],
  ['a refused output', failing('artifact.refused'), 'output-refused', 'policy'],
  ['a full disk', failing('disk.full'), 'disk-full', 'infra_permanent'],
  ['a disk that is nearly full', failing('disk.low'), 'disk-full', 'infra_permanent'],
  ['a missing secret', failing('secret.unknown'), 'secret-missing', 'config'],
  ['a conflict of layers', failing('workspace.conflict'), 'workspace-conflict', 'config'],
  ['a damaged blob', failing('blob.damaged'), 'content-damaged', 'infra_permanent'],
  [
    'a registry that is away',
    failing('package.unavailable'),
    'package-unavailable',
    'infra_transient',
  ],
  ['a forged package', failing('package.integrity'), 'package-denied', 'policy'],
  ['a bug', failing('internal.bug'), 'broken', 'infra_permanent'],
  [
    'memory',
    facts({ exitCode: 137, signal: 'SIGKILL', limit: { name: 'memory' } }),
    'oom',
    'resource',
  ],
  ['its output', facts({ exitCode: 137, limit: { name: 'output' } }), 'limit-output', 'resource'],
  [
    'the same inputs passed before',
    facts({ passedIn: 'r-1111111111', tail: 'Tests  1 failed' }),
    'passed-before',
    'flaky',
  ],
  ['a directory that is not there', facts({ exitCode: undefined }), 'no-directory', 'config'],
  ['an output that is not there', facts({ exitCode: 0 }), 'output-missing', 'config'],
  ['a program that is not there', facts({ exitCode: 127 }), 'exit-127', 'config'],
  ['a file that is no program', facts({ exitCode: 126 }), 'exit-126', 'config'],
  ['a wrapper that failed', facts({ exitCode: 125 }), 'exit-125', 'config'],
  ['a look-up', facts({ hints: ['network.name'] }), 'needs-network', 'policy'],
  [
    'a package that is not pinned',
    facts({ hints: ['packages.unpinned'] }),
    'needs-network',
    'policy',
  ],
  ['a container engine', facts({ hints: ['engine.none'] }), 'needs-engine', 'policy'],
  ['a secret that it read', facts({ hints: ['secrets.absent'] }), 'secret-absent', 'config'],
  ['a heap that ran out', facts({ hints: ['limits.memory'] }), 'printed-limit', 'resource'],
  ['a local service', facts({ hints: ['network.local'] }), 'needs-service', 'config'],
  ['a read-only root', facts({ hints: ['root.readonly'] }), 'needs-power', 'policy'],
  ['a missing command', facts({ hints: ['image.tool'] }), 'program-absent', 'config'],
  ['an ended process', facts({ exitCode: 139, signal: 'SIGSEGV' }), 'signal', 'unknown'],
  ['nothing that is known', facts({ exitCode: 3, tail: 'oh no' }), 'unknown', 'unknown'],
];

test.each(rows)('the rule for %s', (_, given, rule, of) => {
  expect(classify(given)).toMatchObject({ rule, class: of });
});

describe('what programs print when they found something', () => {
  test.each([
    ['address-in-use', 'Error: listen EADDRINUSE: address already in use :::3000'],
    ['text-busy', '/bin/sh: 1: ./tool: Text file busy'],
    ['script-missing', 'npm error Missing script: "biuld"'],
    ['lockfile-differs', 'npm error code ERESOLVE'],
    ['module-missing', "Error: Cannot find module 'left-pad'"],
    ['module-missing', "ModuleNotFoundError: No module named 'yaml'"],
    ['compiler', "src/a.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'."],
    ['compiler', "main.c:3:5: error: expected ';' before 'return'"],
    ['compiler', 'error[E0308]: mismatched types'],
    ['compiler', './main.go:4:2: undefined: fmt'],
    ['compiler', 'Main.java:3: error: cannot find symbol'],
    ['compiler', 'SyntaxError: Unexpected token }'],
    ['compiler', '✘ [ERROR] Could not resolve "./gone"'],
    ['compiler', '✖ 3 problems (3 errors, 0 warnings)'],
    ['compiler', 'make: *** [Makefile:2: all] Error 1'],
    ['test-runner', ' Test Files  1 failed | 3 passed (4)'],
    ['test-runner', '      Tests  2 failed | 30 passed (32)'],
    ['test-runner', 'Tests:       1 failed, 2 passed, 3 total'],
    ['test-runner', '  1 failing'],
    ['test-runner', 'ℹ fail 1'],
    ['test-runner', '# fail 12'],
    ['test-runner', 'not ok 3 - adds'],
    ['test-runner', '=== 1 failed, 4 passed in 0.12s ==='],
    ['test-runner', 'FAILED (failures=1)'],
    ['test-runner', '--- FAIL: TestAdd (0.00s)'],
    ['test-runner', 'test result: FAILED. 1 passed; 1 failed; 0 ignored'],
    ['test-runner', '[ERROR] Tests run: 4, Failures: 1, Errors: 0, Skipped: 0'],
    ['test-runner', '3 examples, 1 failure'],
    ['test-runner', 'AssertionError [ERR_ASSERTION]: 1 == 2'],
  ])('%s: %s', (rule, line) => {
    expect(classify(facts({ tail: `before\n${line}\nafter` })).rule).toBe(rule);
  });

  test.each([
    'Tests  30 passed (32)',
    'ℹ fail 0',
    '# fail 0',
    'Tests run: 4, Failures: 0, Errors: 0',
    '0 failed in 0.12s',
    'test result: ok. 2 passed; 0 failed',
    '0 errors',
  ])('"%s" is no failure that a rule knows', (line) => {
    expect(classify(facts({ tail: line })).rule).toBe('unknown');
  });

  test('a line before the last 4096 characters counts for nothing', () => {
    const tail = `Tests  1 failed\n${'x'.repeat(4096)}`;
    expect(classify(facts({ tail })).rule).toBe('unknown');
  });
});

describe('what is on record goes before what a task says', () => {
  const loud = { tail: 'error TS1: no\n EADDRINUSE', hints: hintCatalog.map(({ id }) => id) };

  test.each([
    ['oom', facts({ limit: { name: 'memory' }, ...loud })],
    ['disk-full', failing('disk.full', loud)],
    ['passed-before', facts({ passedIn: 'r-1111111111', ...loud })],
    ['cancelled', facts({ outcome: 'cancelled', ...loud })],
    ['lost', facts({ outcome: 'lost', ...loud })],
  ])('%s', (rule, given) => {
    expect(classify(given).rule).toBe(rule);
  });

  test('no output blames a component, whatever it prints', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.subarray(hintCatalog.map(({ id }) => id)),
        fc.integer({ min: 0, max: 255 }),
        (tail, hints, exitCode) => {
          expect(classify(facts({ tail, hints, exitCode, runtime: 'runc' })).component).toBe(
            undefined,
          );
        },
      ),
    );
  });

  test('an engine that went away is to blame itself, a refused start the runtime in use', () => {
    expect(classify(failing('engine.unavailable', { runtime: 'runc' })).component).toBe('engine');
    expect(classify(failing('engine.failed', { runtime: 'runc' })).component).toBe('runtime:runc');
    expect(classify(failing('engine.failed')).component).toBe('engine');
  });
});

describe('what to do next', () => {
  const next = (given: AttemptFacts) => classify(given).next.join('\n');

  test('a limit is raised to twice as much, in the words of a plan', () => {
    const limit = { name: 'memory', allowed: 2 ** 30, peak: 2 ** 30 } as const;
    expect(next(facts({ limit }))).toContain('limits: { memory: 2GiB }');
  });

  test('a limit is raised beyond what was used', () => {
    const limit = { name: 'disk', allowed: 2 ** 20, peak: 5 * 2 ** 20 } as const;
    expect(next(facts({ limit }))).toContain('limits: { disk: 8MiB }');
  });

  test('a limit is not raised beyond what the policy allows', () => {
    const hit = { name: 'timeout', allowed: 600_000 } as const;
    expect(next(facts({ limit: { ...hit, most: 900_000 } }))).toContain('{ timeout: 15m }');
    const atMost = next(facts({ limit: { ...hit, most: 600_000 } }));
    expect(atMost).toContain('allows no more `timeout`');
    expect(atMost).not.toContain('{ timeout');
  });

  test('commands name the run and the task', () => {
    expect(next(facts({ exitCode: 3 }))).toContain('orchestra explain r-0123456789 test:unit');
  });

  test('a name that is none becomes a placeholder', () => {
    const said = next(facts({ run: '$(reboot)', task: 'a; rm -rf /' }));
    expect(said).toContain('orchestra explain RUN TASK');
    expect(said).not.toMatch(/reboot|rm -rf/);
  });

  test('a program with a hostile name is not repeated', () => {
    expect(next(facts({ exitCode: 127, program: 'tool' }))).toContain('tool, or one that');
    expect(next(facts({ exitCode: 127, program: '\u001b[2Jx `y`' }))).toContain('its program, or');
  });

  test('whatever a task says and is called, a record holds the answer and a terminal survives it', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constant('\u001b]0;x\u0007'),
    );
    const any = fc.record<AttemptFacts>({
      run: text,
      task: text,
      attempt: fc.nat(),
      outcome: fc.constantFrom(...attemptOutcomes),
      exitCode: fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
      signal: fc.option(text, { nil: undefined }),
      limit: fc.option(
        fc.record({
          name: fc.constantFrom(...LimitName.options),
          allowed: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
          peak: fc.option(fc.nat(), { nil: undefined }),
          most: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
        }),
        { nil: undefined },
      ),
      errorCode: fc.option(fc.constantFrom(...(Object.keys(errorTable) as ErrorCode[])), {
        nil: undefined,
      }),
      hints: fc.array(fc.oneof(text, fc.constantFrom(...hintCatalog.map(({ id }) => id)))),
      tail: text,
      passedIn: fc.option(text, { nil: undefined }),
      program: fc.option(text, { nil: undefined }),
      runtime: fc.option(text, { nil: undefined }),
    });
    fc.assert(
      fc.property(any, (given) => {
        const { component, ...failure } = classify(given);
        recordTypes['failure.classified'].data.parse({ attempt: given.attempt, ...failure });
        expect(failure.next.length).toBeGreaterThan(0);
        for (const line of failure.next) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        expect((component ?? '').length).toBeLessThanOrEqual(128);
      }),
    );
  });
});

test('every limit has a rule of its own', () => {
  const rules = LimitName.options.map((name) => classify(facts({ limit: { name } })).rule);
  expect(new Set(rules).size).toBe(LimitName.options.length);
  expect(rules).not.toContain('limit-other');
});

test('every rule has an id of its own', () => {
  const ids = failureRules.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});

test('every code of the error table comes to a rule of Orchestra, never to one about the task', () => {
  for (const errorCode of Object.keys(errorTable) as ErrorCode[]) {
    const { rule } = classify(failing(errorCode, { tail: 'error TS1: x' }));
    expect(rule, errorCode).not.toMatch(/^(?:unknown|compiler|no-directory)$/);
  }
});

test('what may pass by itself, by the error table, is never called code or settings', () => {
  for (const errorCode of Object.keys(errorTable) as ErrorCode[]) {
    if (!errorTable[errorCode].retry || errorTable[errorCode].exit === 1) continue;
    const found = classify(failing(errorCode));
    expect(found.class, errorCode).toMatch(/^(?:infra|unknown)/);
  }
});
