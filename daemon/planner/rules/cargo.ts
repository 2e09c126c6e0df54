import { commandRule } from './commands.ts';

const locked = ['--offline', '--locked'];

export const cargo = commandRule({
  ecosystem: 'cargo',
  tool: 'cargo',
  manifests: ['Cargo.toml'],
  commands: {
    clean: ['clean'],
    build: ['build', ...locked],
    format: ['fmt', '--check'],
    lint: ['clippy', ...locked],
    typecheck: ['check', ...locked],
    check: ['check', ...locked],
    test: ['test', ...locked],
    bench: ['bench', ...locked],
    docs: ['doc', '--no-deps', ...locked],
  },
  all: ['format', 'lint', 'build', 'test'],
  missing(profile, manifest) {
    const text = profile.texts[manifest] ?? '';
    const needs = /^\s*\[(?:workspace\.|target\..*\.)?(?:dev-|build-)?dependencies[.\]]/m.test(
      text,
    );
    if (!needs || profile.names.includes('vendor')) return [];
    return ['Cargo.toml has dependencies and there is no vendor directory: run cargo vendor'];
  },
});
