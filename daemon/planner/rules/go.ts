import { commandRule } from './commands.ts';

export const go = commandRule({
  ecosystem: 'go',
  tool: 'go',
  manifests: ['go.mod'],
  commands: {
    clean: ['clean'],
    build: ['build', './...'],
    lint: ['vet', './...'],
    typecheck: ['vet', './...'],
    check: ['vet', './...'],
    test: ['test', './...'],
    bench: ['test', '-run=^$', '-bench=.', './...'],
  },
  all: ['lint', 'build', 'test'],
  missing(profile, manifest) {
    const needs = /^\s*require\b/m.test(profile.texts[manifest] ?? '');
    if (!needs || profile.names.includes('vendor')) return [];
    return ['go.mod requires modules and there is no vendor directory: run go mod vendor'];
  },
});
