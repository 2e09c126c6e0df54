import { commandRule } from './commands.ts';

export const python = commandRule({
  ecosystem: 'python',
  tool: 'python',
  manifests: ['pyproject.toml', 'setup.py', 'tox.ini', 'requirements.txt'],
  commands: {
    build: ['-m', 'build', '--no-isolation'],
    format: ['-m', 'ruff', 'format', '--check', '.'],
    lint: ['-m', 'ruff', 'check', '.'],
    typecheck: ['-m', 'mypy', '.'],
    test: ['-m', 'pytest'],
  },
  all: ['test'],
  missing(profile, manifest) {
    const text = profile.texts[manifest] ?? '';
    const needs =
      manifest === 'requirements.txt' ||
      /^\s*dependencies\s*=\s*\[\s*[^\]\s]/m.test(text) ||
      poetryNeeds(text);
    return needs ? [`${manifest} has dependencies, and Python packages cannot be provisioned`] : [];
  },
});

// Poetry counts the interpreter among the dependencies.
function poetryNeeds(text: string): boolean {
  const [, section = ''] = /^\[tool\.poetry\.dependencies\]\s*$([^[]*)/m.exec(text) ?? [];
  return section.split('\n').some((line) => /^\s*(?!python\b)[\w".-]+\s*=/.test(line));
}
