import { lock, pkg, type Kind } from './kind.ts';

const install = 'install: npm ci';

/** Single packages of Node, as projects of each kind have them. */
export const nodeKinds: readonly Kind[] = [
  {
    name: 'a library in TypeScript with vitest and tsup',
    intent: 'Build and test this project',
    files: {
      'package.json': pkg(
        {
          build: 'tsup src/index.ts --dts',
          test: 'vitest run',
          lint: 'eslint src',
          typecheck: 'tsc --noEmit',
        },
        { main: './dist/index.js', files: ['dist'] },
      ),
      'package-lock.json': lock,
      'tsconfig.json': '{ "compilerOptions": { "strict": true } }',
      'src/index.ts': 120,
    },
    plan: [
      install,
      'build: npm run build < install',
      'lint: npm run lint < install',
      'typecheck: npm run typecheck < install',
      'test: npm test < install',
    ],
    assumes: /lint and typecheck/,
  },
  {
    name: 'a server in plain JavaScript with mocha and no build',
    intent: 'test',
    files: {
      'package.json': pkg({ lint: 'eslint .', test: 'mocha --require test/support/env test/' }),
      'package-lock.json': lock,
      'index.js': 50,
      'lib/application.js': 5000,
      'test/app.js': 900,
    },
    plan: [install, 'test: npm test < install'],
  },
  {
    name: 'the same, asked to build what it has no build for',
    intent: 'build and test',
    files: {
      'package.json': pkg({ lint: 'eslint .', test: 'mocha test/' }),
      'package-lock.json': lock,
    },
    refused: /no script named build/,
  },
  {
    name: 'a package whose tests run on what the build made',
    intent: 'run the tests',
    files: {
      'package.json': pkg(
        { build: 'tsc -p .', test: 'node --test dist/test/*.js' },
        { main: 'dist/index.js' },
      ),
      'package-lock.json': lock,
      'tsconfig.json': '{"compilerOptions":{"outDir":"./dist"}}',
    },
    plan: [install, 'build: npm run build < install', 'test: npm test < build'],
    assumes: /build runs first/,
  },
  {
    name: 'a package whose pretest builds',
    intent: 'run the tests',
    files: {
      'package.json': pkg(
        { build: 'tsc', pretest: 'npm run build', test: 'mocha dist/test' },
        { main: 'dist/index.js' },
      ),
      'package-lock.json': lock,
    },
    plan: [install, 'test: npm test < install'],
  },
  {
    name: 'a Vite application',
    intent: 'Build this app',
    files: {
      'package.json': pkg({ dev: 'vite', build: 'tsc -b && vite build', preview: 'vite preview' }),
      'package-lock.json': lock,
      'index.html': 300,
      'vite.config.ts': 200,
      'tsconfig.json': '{"files":[],"references":[{"path":"./tsconfig.app.json"}]}',
    },
    plan: [install, 'build: npm run build < install'],
  },
  {
    name: 'a Next.js application',
    intent: 'lint and build',
    files: {
      'package.json': pkg({
        dev: 'next dev',
        build: 'next build',
        start: 'next start',
        lint: 'next lint',
      }),
      'package-lock.json': lock,
      'next.config.mjs': 90,
      'app/page.tsx': 700,
    },
    plan: [install, 'build: npm run build < install', 'lint: npm run lint < install'],
  },
  {
    name: 'a NestJS service',
    intent: 'build, lint and test',
    files: {
      'package.json': pkg({
        build: 'nest build',
        start: 'nest start',
        lint: 'eslint "{src,apps,libs,test}/**/*.ts" --fix',
        test: 'jest',
        'test:e2e': 'jest --config ./test/jest-e2e.json',
      }),
      'package-lock.json': lock,
      'tsconfig.json': '{"compilerOptions":{"outDir":"./dist"}}',
      'tsconfig.build.json': '{"extends":"./tsconfig.json"}',
    },
    plan: [
      install,
      'build: npm run build < install',
      'lint: npm run lint < install',
      'test: npm test < install',
    ],
  },
  {
    name: 'the end-to-end tests of that service, by the name of their script',
    intent: 'run test:e2e',
    files: {
      'package.json': pkg({
        build: 'nest build',
        test: 'jest',
        'test:e2e': 'jest --config ./test/jest-e2e.json',
      }),
      'package-lock.json': lock,
    },
    plan: [install, 'test-e2e: npm run test:e2e < install'],
  },
  {
    name: 'an Angular application',
    intent: 'build',
    files: {
      'package.json': pkg({ ng: 'ng', start: 'ng serve', build: 'ng build', test: 'ng test' }),
      'package-lock.json': lock,
      'angular.json': 4000,
    },
    plan: [install, 'build: npm run build < install'],
  },
  {
    name: 'a SvelteKit application with check as its type check',
    intent: 'check',
    files: {
      'package.json': pkg({
        dev: 'vite dev',
        build: 'vite build',
        check: 'svelte-kit sync && svelte-check',
      }),
      'package-lock.json': lock,
    },
    plan: [install, 'check: npm run check < install'],
  },
  {
    name: 'an Astro site with documentation scripts',
    intent: 'build the docs',
    files: {
      'package.json': pkg({ build: 'astro build', 'docs:build': 'typedoc' }),
      'package-lock.json': lock,
    },
    plan: [install, 'build: npm run build < install', 'docs: npm run docs:build < install'],
  },
  {
    name: 'a command-line tool without any dependency',
    intent: 'test',
    files: {
      'package.json': pkg({ test: 'node --test' }, { devDependencies: {} }),
      'cli.js': 300,
    },
    plan: ['test: npm test'],
    assumes: /Nothing is installed/,
  },
  {
    name: 'a package with dependencies and no lockfile',
    intent: 'test',
    files: { 'package.json': pkg({ test: 'jest' }) },
    refused: /no lockfile pins them/,
  },
  {
    name: 'a package with a shrinkwrap',
    intent: 'test',
    files: { 'package.json': pkg({ test: 'tap' }), 'npm-shrinkwrap.json': lock },
    plan: [install, 'test: npm test < install'],
  },
  {
    name: 'a package that npm init made and nobody touched',
    intent: 'test',
    files: {
      'package.json': pkg(
        { test: 'echo "Error: no test specified" && exit 1' },
        { devDependencies: {} },
      ),
    },
    refused: /npm init/,
  },
  {
    name: 'a native addon with node-gyp',
    intent: 'build and test',
    files: {
      'package.json': pkg({ build: 'node-gyp rebuild', test: 'node test.js' }),
      'package-lock.json': lock,
      'binding.gyp': 200,
      'src/addon.cc': 2000,
    },
    plan: [install, 'build: npm run build < install', 'test: npm test < build'],
  },
  {
    name: 'a package with every usual script, asked for everything',
    intent: 'run everything',
    files: {
      'package.json': pkg({
        build: 'tsc',
        clean: 'rm -rf dist',
        'format:check': 'prettier --check .',
        lint: 'eslint .',
        typecheck: 'tsc --noEmit',
        test: 'vitest run',
        bench: 'vitest bench',
        docs: 'typedoc',
      }),
      'package-lock.json': lock,
    },
    plan: [
      install,
      'build: npm run build < install',
      'format: npm run format:check < install',
      'lint: npm run lint < install',
      'typecheck: npm run typecheck < install',
      'test: npm test < install',
    ],
  },
  {
    name: 'a package that formats in check mode under another name',
    intent: 'check formatting',
    files: {
      'package.json': pkg({
        'prettier:check': 'prettier --check .',
        check: 'npm run prettier:check',
      }),
      'package-lock.json': lock,
    },
    plan: [install, 'format: npm run prettier:check < install', 'check: npm run check < install'],
  },
  {
    name: 'a package whose scripts are in capitals',
    intent: 'run Build-All',
    files: { 'package.json': pkg({ 'Build-All': 'make' }), 'package-lock.json': lock },
    plan: [install, 'build-all: npm run Build-All < install'],
  },
  {
    name: 'a package.json with a byte order mark',
    intent: 'test',
    files: { 'package.json': `\ufeff${pkg({ test: 'ava' })}`, 'package-lock.json': lock },
    plan: [install, 'test: npm test < install'],
  },
  {
    name: 'a package.json that is not JSON',
    intent: 'test',
    files: { 'package.json': '{ "scripts": { "test": "jest", } }', 'package-lock.json': lock },
    refused: /package\.json is not a JSON object/,
  },
  {
    name: 'a package.json that is a list',
    intent: 'test',
    files: { 'package.json': '["scripts"]' },
    refused: /not a JSON object/,
  },
  {
    name: 'scripts that are not text',
    intent: 'test',
    files: { 'package.json': '{"scripts":{"test":["jest"]}}', 'package-lock.json': lock },
    refused: /no script named test/,
  },
  {
    name: 'a benchmark that has to be built first',
    intent: 'bench',
    files: {
      'package.json': pkg({ build: 'tsc', bench: 'node dist/bench.js' }, { main: 'dist/index.js' }),
      'package-lock.json': lock,
    },
    plan: [install, 'build: npm run build < install', 'bench: npm run bench < build'],
  },
  {
    name: 'a package with a lockfile of npm and one of yarn',
    intent: 'test',
    files: {
      'package.json': pkg({ test: 'jest' }),
      'package-lock.json': lock,
      'yarn.lock': 20_000,
    },
    plan: [install, 'test: npm test < install'],
    assumes: /yarn\.lock is not looked at/,
  },
  {
    name: 'a package of yarn',
    intent: 'build and test',
    files: { 'package.json': pkg({ build: 'tsc', test: 'jest' }), 'yarn.lock': 20_000 },
    refused: /yarn\.lock belongs to yarn/,
  },
  {
    name: 'a package of yarn with plug and play',
    intent: 'test',
    files: {
      'package.json': pkg({ test: 'jest' }, { packageManager: 'yarn@4.5.0' }),
      'yarn.lock': 20_000,
      '.yarnrc.yml': 30,
      '.pnp.cjs': 90_000,
    },
    refused: /yarn/,
  },
  {
    name: 'a package of pnpm',
    intent: 'test',
    files: { 'package.json': pkg({ test: 'vitest' }), 'pnpm-lock.yaml': 20_000 },
    refused: /pnpm-lock\.yaml belongs to pnpm/,
  },
  {
    name: 'a package of bun',
    intent: 'test',
    files: { 'package.json': pkg({ test: 'bun test' }), 'bun.lock': 5000 },
    refused: /bun\.lock belongs to bun/,
  },
  {
    name: 'a package of an older bun',
    intent: 'test',
    files: { 'package.json': pkg({ test: 'bun test' }), 'bun.lockb': 5000 },
    refused: /bun\.lockb belongs to bun/,
  },
  {
    name: 'a project of Deno',
    intent: 'test',
    files: { 'deno.json': '{"tasks":{"test":"deno test"}}', 'mod.ts': 100 },
    refused: /none of package\.json/,
  },
  {
    name: 'a browser extension with a script for each browser',
    intent: 'build:firefox',
    files: {
      'package.json': pkg({ 'build:chrome': 'node b.js chrome', 'build:firefox': 'node b.js ff' }),
      'package-lock.json': lock,
    },
    plan: [install, 'build-firefox: npm run build:firefox < install'],
  },
  {
    name: 'a package that compiles under the name compile',
    intent: 'compile and test',
    files: {
      'package.json': pkg({ compile: 'tsc -p src', test: 'mocha' }),
      'package-lock.json': lock,
    },
    plan: [install, 'build: npm run compile < install', 'test: npm test < build'],
    assumes: /does not tell/,
  },
  {
    name: 'an intent for something that no script is named after',
    intent: 'deploy to production',
    files: { 'package.json': pkg({ build: 'tsc' }), 'package-lock.json': lock },
    refused: /deploy/,
  },
];
