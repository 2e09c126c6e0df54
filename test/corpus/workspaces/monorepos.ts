import { lock, pkg, type Kind } from './kind.ts';

/** Several packages in one workspace. */
export const monorepoKinds: readonly Kind[] = [
  {
    name: 'workspaces of npm with scripts at the top',
    intent: 'Build and test',
    files: {
      'package.json': pkg(
        { build: 'npm run build -ws', test: 'npm test -ws', lint: 'eslint .' },
        { workspaces: ['packages/*'] },
      ),
      'package-lock.json': lock,
      'packages/a/package.json': pkg({ build: 'tsc', test: 'jest' }),
      'packages/b/package.json': pkg({ build: 'tsc', test: 'jest' }),
    },
    plan: [
      'install: npm ci',
      'build: npm run build < install',
      'lint: npm run lint < build',
      'test: npm test < build',
    ],
    assumes: /Workspaces use what others built/,
  },
  {
    name: 'workspaces of npm without a script at the top',
    intent: 'test',
    files: {
      'package.json': pkg({}, { workspaces: ['packages/*'] }),
      'package-lock.json': lock,
      'packages/a/package.json': pkg({ test: 'jest' }),
    },
    refused: /no script named test/,
  },
  {
    name: 'Turborepo on npm',
    intent: 'build, lint and test',
    files: {
      'package.json': pkg(
        { build: 'turbo run build', lint: 'turbo run lint', test: 'turbo run test' },
        { workspaces: ['apps/*', 'packages/*'] },
      ),
      'package-lock.json': lock,
      'turbo.json': 400,
      'apps/web/package.json': pkg({ build: 'next build' }),
      'packages/ui/package.json': pkg({ lint: 'eslint .' }),
    },
    plan: [
      'install: npm ci',
      'build: npm run build < install',
      'lint: npm run lint < build',
      'test: npm test < build',
    ],
  },
  {
    name: 'Turborepo on pnpm',
    intent: 'build',
    files: {
      'package.json': pkg({ build: 'turbo run build' }),
      'pnpm-lock.yaml': 90_000,
      'pnpm-workspace.yaml': 40,
      'apps/web/package.json': pkg({ build: 'next build' }),
    },
    refused: /pnpm/,
  },
  {
    name: 'Nx on npm',
    intent: 'test',
    files: {
      'package.json': pkg({ test: 'nx run-many -t test' }),
      'package-lock.json': lock,
      'nx.json': 900,
      'apps/shop/project.json': 300,
    },
    plan: ['install: npm ci', 'test: npm test < install'],
  },
  {
    name: 'Lerna on yarn',
    intent: 'test',
    files: {
      'package.json': pkg({ test: 'lerna run test' }, { workspaces: ['packages/*'] }),
      'yarn.lock': 90_000,
      'lerna.json': 100,
    },
    refused: /yarn\.lock belongs to yarn/,
  },
  {
    name: 'Rush',
    intent: 'build',
    files: {
      'rush.json': 3000,
      'apps/one/package.json': pkg({ build: 'heft build' }),
      'libraries/two/package.json': pkg({ build: 'heft build' }),
    },
    refused: /several beneath it: apps\/one\/package\.json, libraries\/two\/package\.json/,
  },
  {
    name: 'a frontend beneath the top, and nothing else',
    intent: 'build and test',
    files: {
      'README.md': 100,
      'frontend/package.json': pkg({ build: 'vite build', test: 'vitest run' }),
      'frontend/package-lock.json': lock,
    },
    plan: [
      'install: npm ci @ frontend',
      'build: npm run build @ frontend < install',
      'test: npm test @ frontend < install',
    ],
  },
  {
    name: 'a frontend and a backend of Node beneath the top',
    intent: 'test',
    files: {
      'client/package.json': pkg({ test: 'vitest' }),
      'client/package-lock.json': lock,
      'server/package.json': pkg({ test: 'jest' }),
      'server/package-lock.json': lock,
    },
    refused: /several beneath it: client\/package\.json, server\/package\.json/,
  },
  {
    name: 'a server in Go with a frontend beneath it, asked for the Go part',
    intent: 'test the go code',
    programs: ['go', 'npm', 'node'],
    files: {
      'go.mod': 'module example.org/server\n\ngo 1.23\n',
      'main.go': 300,
      'web/package.json': pkg({ test: 'vitest' }),
      'web/package-lock.json': lock,
    },
    plan: ['test: go test ./...'],
  },
  {
    name: 'a crate with a package for npm at the top, asked for the Rust part',
    intent: 'build and test the rust crate',
    programs: ['cargo', 'npm', 'node'],
    files: {
      'package.json': pkg({ build: 'wasm-pack build', test: 'node test.js' }),
      'package-lock.json': lock,
      'Cargo.toml': '[package]\nname = "x"\nversion = "0.1.0"\n',
      'src/lib.rs': 900,
    },
    plan: ['build: cargo build --offline --locked', 'test: cargo test --offline --locked < build'],
  },
  {
    name: 'a monorepo of ten languages with a Makefile over them',
    intent: 'test with make',
    programs: ['make', 'npm', 'node'],
    files: {
      Makefile: 'all: build\nbuild:\n\t./build.sh\ntest: build\n\t./test.sh\n',
      'package.json': pkg({ test: 'jest' }),
      'package-lock.json': lock,
      'Cargo.toml': '[workspace]\nmembers = ["rust"]\n',
      'go.mod': 'module x\n',
    },
    plan: ['test: make test'],
  },
];
