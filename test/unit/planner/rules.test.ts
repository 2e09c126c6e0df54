import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { digestOf } from '#daemon/base/canonical.ts';
import { makeProfile, type ProfileEntry } from '#daemon/planner/profile.ts';
import { plan, type Planned, type PlanRequest } from '#daemon/planner/planner.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

type Files = Record<string, string>;

async function planFor(
  intent: string,
  files: Files,
  change: Partial<PlanRequest> = {},
): Promise<Planned> {
  const entries = Object.entries(files).map(([path, text]): ProfileEntry => {
    return { path, type: 'file', size: text.length };
  });
  const profile = await makeProfile(entries, (path) =>
    Promise.resolve(Buffer.from(files[path] ?? '')),
  );
  return plan({
    intent,
    profile,
    policy: shippedPolicy('default'),
    image: testImage,
    imageTools: testImageTools,
    ...change,
  });
}
const shape = async (intent: string, files: Files, change: Partial<PlanRequest> = {}) =>
  (await planFor(intent, files, change)).plan.tasks.map(
    (task) => `${task.id}: ${task.command.join(' ')} < ${task.deps.join(' ')}`,
  );
async function refusal(
  intent: string,
  files: Files,
  change: Partial<PlanRequest> = {},
): Promise<OrchestraError> {
  try {
    await planFor(intent, files, change);
  } catch (error) {
    if (error instanceof OrchestraError) return error;
    throw error;
  }
  throw new Error('planned');
}
const reasons = async (intent: string, files: Files, change: Partial<PlanRequest> = {}) => {
  const error = await refusal(intent, files, change);
  expect(error.code).toBe('plan.impossible');
  return error.places.map((place) => place.message);
};

const pack = (scripts: Record<string, string>, more: object = {}) =>
  JSON.stringify({ name: 'x', scripts, devDependencies: { vitest: '1' }, ...more });
const locked = (scripts: Record<string, string>, more: object = {}): Files => ({
  'package.json': pack(scripts, more),
  'package-lock.json': '{}',
});
const usual = { build: 'tsc', lint: 'eslint .', typecheck: 'tsc --noEmit', test: 'vitest run' };
const ci = 'install: npm ci --offline --no-audit --no-fund < ';

test('"Build and test" installs, then builds, lints, checks types and tests side by side', async () => {
  expect(await shape('Build and test the TypeScript project', locked(usual))).toEqual([
    ci,
    'build: npm run build < install',
    'lint: npm run lint < install',
    'typecheck: npm run typecheck < install',
    'test: npm test < install',
  ]);
});

test('one word is one task and what it needs, no more', async () => {
  expect(await shape('test', locked(usual))).toEqual([ci, 'test: npm test < install']);
  expect(await shape('Please run the linter', locked(usual))).toEqual([
    ci,
    'lint: npm run lint < install',
  ]);
  expect(await shape('format', locked({ 'format:check': 'x', format: 'y' }))).toEqual([
    ci,
    'format: npm run format:check < install',
  ]);
});

test('tests wait for the build where their script names what it makes, or does not tell', async () => {
  const needs = async (test: string, more: object = {}) =>
    (await shape('build and test', locked({ build: 'tsc', test }, more))).at(-1);
  expect(await needs('node --test dist/', { main: './dist/index.js' })).toBe(
    'test: npm test < build',
  );
  expect(await needs('vitest run ./dist', { main: './dist/index.js' })).toBe(
    'test: npm test < build',
  );
  expect(await needs('mocha')).toBe('test: npm test < build');
  expect(await needs('jest')).toBe('test: npm test < install');
  expect(await needs('npm run build && mocha')).toBe('test: npm test < install');
  expect(await needs('jest', { workspaces: ['a'] })).toBe('test: npm test < build');
});

test('"test" alone builds first where the test script names what the build makes', async () => {
  const files = locked({ build: 'tsc', test: 'node --test dist' }, { files: ['dist'] });
  const { plan } = await planFor('test', files);
  expect(plan.tasks.map((task) => task.id)).toEqual(['install', 'build', 'test']);
  expect(plan.assumptions.join()).toContain('build runs first');
});

test('what the build makes is an output, what is in the workspace already is not', async () => {
  const outputs = async (files: Files) =>
    (await planFor('build', files)).plan.tasks.find((task) => task.id === 'build')?.outputs;
  const points = {
    main: './dist/a.js',
    exports: { '.': { import: './esm/a.js' } },
    files: ['README.md', 'src'],
  };
  const dist = { name: 'dist', path: 'dist', required: false };
  expect(await outputs({ ...locked(usual, points), 'src/a.ts': '' })).toEqual([
    dist,
    { name: 'esm', path: 'esm', required: false },
  ]);
  expect(
    await outputs({
      ...locked(usual),
      'tsconfig.json': '// x\n{"compilerOptions":{"outDir":"./dist"}}',
    }),
  ).toEqual([dist]);
  expect(
    await outputs(
      locked(usual, { main: '../x/a.js', bin: '/etc/passwd', exports: { __proto__: null } }),
    ),
  ).toEqual([]);
});

test('a script may be named, and whatever nobody knows is refused', async () => {
  expect(await shape('run test:e2e', locked({ 'test:e2e': 'x' }))).toEqual([
    ci,
    'test-e2e: npm run test:e2e < install',
  ]);
  expect(await reasons('deploy to production', locked(usual))).toEqual([
    expect.stringContaining('"deploy" is not something'),
    expect.stringContaining('"to" is not something'),
    expect.stringContaining('"production" is not something'),
  ]);
  expect(await reasons('do not test', locked(usual))).toEqual([expect.stringContaining('"not"')]);
  expect(await reasons('please', locked(usual))).toEqual(['the intent names nothing to do']);
});

test('scripts that are not there are named, all of them', async () => {
  expect(
    await reasons(
      'lint and format and test',
      locked({ test: 'echo "Error: no test specified" && exit 1' }),
    ),
  ).toEqual([
    'package.json has no script named format',
    'package.json has no script named lint',
    'the test script of package.json is the one that npm init writes: it only fails',
  ]);
});

test('dependencies without a lockfile are refused with the remedy', async () => {
  const error = await refusal('build', { 'package.json': pack(usual) });
  expect(error.message).toContain('no lockfile pins them');
  expect(error.hint).toContain('npm install --package-lock-only');
});

test('without dependencies nothing is installed', async () => {
  const files = { 'package.json': JSON.stringify({ scripts: { test: 'node --test' } }) };
  expect(await shape('test', files)).toEqual(['test: npm test < ']);
});

test.each([
  ['pnpm-lock.yaml', 'pnpm'],
  ['yarn.lock', 'yarn'],
  ['bun.lock', 'bun'],
  ['rush.json', 'rush'],
])('%s is refused by the name of its tool', async (file, tool) => {
  expect((await reasons('build', { 'package.json': pack(usual), [file]: '' })).join()).toContain(
    `${file} belongs to ${tool}`,
  );
});

test('npm is used where its lockfile stands beside another, and that is said', async () => {
  const { plan } = await planFor('test', { ...locked(usual), 'yarn.lock': '' });
  expect(plan.assumptions).toContain('package-lock.json is used, yarn.lock is not looked at.');
});

test('one package beneath the top is planned in its directory, several are listed', async () => {
  const one = { 'app/package.json': pack(usual), 'app/package-lock.json': '{}', 'README.md': '' };
  expect((await planFor('test', one)).plan.tasks.map((task) => task.cwd)).toEqual(['app', 'app']);
  const two = { ...one, 'lib/package.json': pack(usual) };
  expect(await reasons('test', two)).toEqual([
    expect.stringContaining('app/package.json, lib/package.json'),
  ]);
  const hidden = { ...one, 'node_modules/x/package.json': '{}' };
  expect((await planFor('test', hidden)).plan.tasks).toHaveLength(2);
});

test.each([
  ['Makefile', 'build:\n\ttrue\ntest: build\n', 'make is not in node:20-alpine'],
  ['Cargo.toml', '[package]\nname="x"\n', 'cargo is not in node:20-alpine'],
  ['go.mod', 'module x\n', 'go is not in node:20-alpine'],
  ['pyproject.toml', '[project]\nname="x"\n', 'python is not in node:20-alpine'],
  ['build.gradle', '', 'gradle is not in node:20-alpine'],
  ['pom.xml', '<project/>', 'mvn is not in node:20-alpine'],
])('%s is known, and the missing tool is named', async (file, text, reason) => {
  expect(await reasons('build and test', { [file]: text })).toContain(reason);
});

test.each([
  ['Makefile', 'build: x\ntest:\nV := 1\n', ['build: make build < ', 'test: make test < build']],
  [
    'Cargo.toml',
    '[package]\n',
    ['build: cargo build --offline --locked < ', 'test: cargo test --offline --locked < build'],
  ],
  ['go.mod', 'module x\n', ['build: go build ./... < ', 'test: go test ./... < build']],
])('%s is planned where an image has the tool', async (file, text, tasks) => {
  const policy = shippedPolicy('default');
  const tools = ['make', 'cargo', 'go'];
  const change = { policy: { ...policy, tools }, imageTools: tools };
  expect(await shape('build and test', { [file]: text }, change)).toEqual(tasks);
});

test('dependencies that cannot be provisioned are a reason', async () => {
  expect(await reasons('build', { 'Cargo.toml': '[dependencies]\nserde = "1"\n' })).toContain(
    'Cargo.toml has dependencies and there is no vendor directory: run cargo vendor',
  );
  expect((await reasons('build', { 'go.mod': 'module x\nrequire y v1\n' })).join()).toContain(
    'go mod vendor',
  );
});

test('a language that is not there is not planned as another', async () => {
  expect(await reasons('Build the Rust project', locked(usual))).toEqual([
    'nothing here belongs to cargo; there is package.json',
  ]);
});

test('an empty workspace and broken manifests are refused plainly', async () => {
  expect((await reasons('build', { 'a.txt': '' })).join()).toContain('has none of package.json');
  expect(await reasons('build', { 'package.json': '{' })).toContain(
    'package.json is not a JSON object',
  );
  expect(await reasons('build', { 'package.json': '[]' })).toContain(
    'package.json is not a JSON object',
  );
  expect(await reasons('build', { 'package.json': '\u0000'.repeat(2_000_000) })).toContain(
    'package.json is larger than 1 MiB',
  );
});

test('a manifest that is a link is not read', async () => {
  const entries: ProfileEntry[] = [{ path: 'package.json', type: 'symlink', size: 1 }];
  const profile = await makeProfile(entries, () => Promise.reject(new Error('read')));
  expect(profile.texts).toEqual({});
});

test('names that are not text, or thousands of them, leave a profile that the log can hold', async () => {
  const many = Array.from({ length: 5000 }, (_, i) => `f${i}\n`);
  const entries = ['\ud800', ...many, 'package-lock.json'].map((path): ProfileEntry => ({
    path,
    type: 'file',
    size: 1,
  }));
  const profile = await makeProfile(entries, () => Promise.reject(new Error('read')));
  expect(profile.names).toHaveLength(2000);
  expect(profile.names).toContain('package-lock.json');
  expect(digestOf(profile)).toBe(
    digestOf(await makeProfile(entries.toReversed(), () => Promise.reject(new Error('read')))),
  );
});

test('names that objects inherit are nothing special in a manifest', async () => {
  const text =
    '{"scripts":{"__proto__":"x","constructor":"y","test":"vitest"},"__proto__":{"workspaces":[]}}';
  expect(await shape('test', { 'package.json': text })).toEqual(['test: npm test < ']);
  expect(await shape('constructor', { 'package.json': text })).toEqual([
    'constructor: npm run constructor < ',
  ]);
});

test('the policy that forbids packages is a reason', async () => {
  const change = { policy: shippedPolicy('strict') };
  expect(await reasons('test', locked(usual), change)).toEqual([
    'packages are needed, and policy strict allows no registry',
  ]);
});

test('the order of the files makes no difference', async () => {
  const files: Files = {
    ...locked(usual, { main: 'dist/x' }),
    Makefile: 'build:\n',
    'a/package.json': '{}',
    'b/package.json': '{}',
    'tsconfig.json': '{}',
  };
  const expected = (await planFor('all', files)).digest;
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(Object.entries(files), { minLength: Object.keys(files).length }),
      async (order) => {
        expect((await planFor('all', Object.fromEntries(order))).digest).toBe(expected);
      },
    ),
    { numRuns: 50 },
  );
});

test('any intent and any manifest are planned or refused with an error of ours', async () => {
  const words = fc.array(fc.oneof(fc.string(), fc.constantFrom('build', 'test', 'all', 'lint')), {
    maxLength: 5,
  });
  const names = fc.constantFrom(
    'build',
    'test',
    'lint',
    'x',
    '__proto__',
    'a b',
    '\u0000',
    '\ud800',
    'TEST',
  );
  const scripts = fc.dictionary(names, fc.oneof(fc.string(), fc.jsonValue()), {
    noNullPrototype: true,
  });
  const manifest = fc.oneof(
    fc.jsonValue(),
    fc.record({ scripts, main: fc.jsonValue(), exports: fc.jsonValue(), files: fc.jsonValue() }),
  );
  await fc.assert(
    fc.asyncProperty(words, manifest, async (intent, value) => {
      try {
        await planFor(intent.join(' '), {
          'package.json': JSON.stringify(value),
          'package-lock.json': '',
        });
      } catch (error) {
        expect(error).toBeInstanceOf(OrchestraError);
        expect((error as OrchestraError).code).toBe('plan.impossible');
      }
    }),
    { numRuns: 300 },
  );
});

test('a command becomes one task, by the tool of its name where there is one', async () => {
  expect(await shape('', {}, { exec: ['npm', 'ci'] })).toEqual([
    'exec: npm ci --offline --no-audit --no-fund < ',
  ]);
  expect(await shape('', {}, { exec: ['ls', '-l'] })).toEqual(['exec: ls -l < ']);
  expect((await refusal('', {}, { exec: ['gcc'] })).code).toBe('plan.invalid');
  expect((await refusal('', {}, { exec: ['ls'], policy: shippedPolicy('strict') })).code).toBe(
    'policy.denied',
  );
});

test('what is wrong with a plan file is told by line and column', async () => {
  const text =
    'version: 1\ntasks:\n  - id: a\n    tool: node\n    args: [x]\n    deps: [b]\n    env:\n      PATH: x\n';
  const error = await refusal('', {}, { planText: { text, file: 'plan.yaml' } });
  expect(error.code).toBe('plan.invalid');
  expect(error.places.map((place) => `${place.line}:${place.column} ${place.message}`)).toEqual([
    '6:12 a depends on "b", which is not a task',
    '8:13 a: PATH cannot be set by a plan',
  ]);
});

test('limits of a plan file reach the plan exactly', async () => {
  const text =
    'version: 1\ntasks:\n  - id: a\n    tool: node\n    args: [x]\n    timeout: 1m30s\n    limits: {memory: 300MiB, cpus: 0.5}\n';
  const { plan, clamped } = await planFor('', {}, { planText: { text, file: 'p' } });
  expect(plan.tasks[0]?.limits).toMatchObject({
    timeoutMs: 90_000,
    memoryBytes: 300 * 2 ** 20,
    cpuMilli: 500,
  });
  expect(clamped).toEqual([]);
});

const lock = (packages: object) => JSON.stringify({ lockfileVersion: 3, packages });
const installOf = async (files: Files) =>
  (await planFor('test', files)).plan.tasks.find((task) => task.id === 'install')?.inputs;
const plainLock = lock({
  '': { name: 'x' },
  'node_modules/esbuild': { hasInstallScript: true, resolved: 'https://registry.example/e.tgz' },
  'node_modules/a/node_modules/esbuild': { hasInstallScript: true },
});

test.each<[string, Files]>([
  ['a lockfile that is none', { 'package-lock.json': '{}' }],
  ['a lockfile of before', { 'package-lock.json': '{"lockfileVersion":1,"dependencies":{}}' }],
  ['broken text', { 'package-lock.json': '{' }],
  [
    'a package with an install script that may look around',
    {
      'package-lock.json': lock({ 'node_modules/prisma': { hasInstallScript: true } }),
    },
  ],
  [
    'a package from a tarball of the workspace',
    {
      'package-lock.json': lock({ 'node_modules/a': { resolved: 'file:a.tgz' } }),
    },
  ],
  [
    'a package that is a folder of the workspace',
    {
      'package-lock.json': lock({ 'node_modules/a': { link: true, resolved: 'lib/a' } }),
    },
  ],
  ['another one', { 'package-lock.json': lock({ 'lib/a': {} }) }],
  ['a shrinkwrap that says something else', { 'npm-shrinkwrap.json': lock({ 'lib/a': {} }) }],
  ['an install script of its own', { 'package.json': pack({ test: 'x', prepare: 'husky' }) }],
  ['workspaces', { 'package.json': pack({ test: 'x' }, { workspaces: ['a'] }) }],
  ['a native addon', { 'binding.gyp': '{}' }],
  ['node_modules in the workspace', { 'node_modules/a/index.js': '' }],
])('with %s the installation sees the whole workspace', async (_, change) => {
  const files = { ...locked({ test: 'x' }), 'package-lock.json': plainLock, ...change };
  expect(await installOf(files)).toBeUndefined();
});

test('where the lockfile says all, the installation sees what it needs and nothing else', async () => {
  const files = { ...locked({ test: 'x' }), 'package-lock.json': plainLock, 'src/a.ts': '' };
  expect(await installOf(files)).toEqual([
    'package.json',
    'package-lock.json',
    'npm-shrinkwrap.json',
    '.npmrc',
  ]);
});

test('of a package beneath the top too little is known', async () => {
  const files = {
    'app/package.json': pack({ test: 'x' }),
    'app/package-lock.json': plainLock,
  };
  expect(await installOf(files)).toBeUndefined();
});
