import { commandRule } from './commands.ts';

const nothingProvisioned = (tool: string) => () => [
  `${tool} takes plugins and dependencies from a repository, and those cannot be provisioned`,
];

export const gradle = commandRule({
  ecosystem: 'gradle',
  tool: 'gradle',
  manifests: ['build.gradle', 'build.gradle.kts', 'settings.gradle', 'settings.gradle.kts'],
  commands: {
    clean: ['--offline', 'clean'],
    build: ['--offline', 'assemble'],
    check: ['--offline', 'check'],
    test: ['--offline', 'test'],
    docs: ['--offline', 'javadoc'],
  },
  all: ['build', 'check'],
  missing: nothingProvisioned('Gradle'),
});

export const maven = commandRule({
  ecosystem: 'maven',
  tool: 'mvn',
  manifests: ['pom.xml'],
  commands: {
    clean: ['-o', '-B', 'clean'],
    build: ['-o', '-B', 'package', '-DskipTests'],
    check: ['-o', '-B', 'verify'],
    test: ['-o', '-B', 'test'],
    docs: ['-o', '-B', 'javadoc:javadoc'],
  },
  all: ['check'],
  missing: nothingProvisioned('Maven'),
});
