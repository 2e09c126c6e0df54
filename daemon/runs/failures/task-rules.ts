import { hintById } from '../../sandbox/hints.ts';
import type { HintEntry } from '../../sandbox/hint-catalog.ts';
import type { AttemptFacts, Rule } from './facts.ts';
import { onRun, onTask, plainName } from './next-steps.ts';
import { shows } from './signatures.ts';

const seeEnd = (facts: AttemptFacts) => `see what it said: ${onTask('logs', facts)} --tail 50`;
const again = 'mend it and run again: tasks whose inputs are the same come from the cache';

/**
 * What a task says of itself: its exit code and its output, of which it can make what it likes. That
 * the same inputs passed before is on record, so it goes before all of this.
 */
export const taskRules: readonly Rule[] = [
  {
    id: 'passed-before',
    class: 'flaky',
    when: ({ passedIn, exitCode }) => passedIn !== undefined && exitCode !== undefined,
    next: (facts) => [
      `the very same inputs passed before: ${onRun('show', facts.passedIn ?? '')}`,
      seeEnd(facts),
      'look for what differs from one time to the other: time, order, chance, parallelism',
      'write `retries: 2` into the task for more attempts, `retries: 0` for none',
    ],
  },
  {
    id: 'no-directory',
    class: 'config',
    when: ({ exitCode, outcome }) => exitCode === undefined && outcome === 'failed',
    next: (facts) => [
      'check `cwd` of the task: the directory has to be in the workspace, or made by a task before',
      `see what it was to get: ${onTask('explain', facts)}`,
    ],
  },
  {
    id: 'output-missing',
    class: 'config',
    when: ({ exitCode, outcome }) => exitCode === 0 && outcome === 'failed',
    next: (facts) => [
      'check `outputs` of the task: each path is relative to the workspace, or `required: false`',
      seeEnd(facts),
    ],
  },
  {
    id: 'exit-127',
    class: 'config',
    when: ({ exitCode }) => exitCode === 127,
    next: (facts) => [
      `${plainName(facts.program) ?? 'its program'}, or one that it starts, is not in the image`,
      'use a program that an npm package brings (npx), or another image of the policy',
      seeEnd(facts),
    ],
  },
  {
    id: 'exit-126',
    class: 'config',
    when: ({ exitCode }) => exitCode === 126,
    next: (facts) => [
      `${plainName(facts.program) ?? 'its program'}, or one that it starts, cannot be executed`,
      'give it its mode (chmod +x) and keep it beneath /workspace: nothing in /tmp is executed',
      seeEnd(facts),
    ],
  },
  {
    id: 'exit-125',
    class: 'config',
    when: ({ exitCode }) => exitCode === 125,
    next: (facts) => ['a program that starts another one could not do so', seeEnd(facts)],
  },
  hinted('needs-network', 'policy', ({ id, rule }) => {
    return rule === 'network.none' && id !== 'network.local';
  }),
  hinted('needs-engine', 'policy', ({ id }) => id === 'engine.none'),
  hinted('secret-absent', 'config', ({ id }) => id === 'secrets.absent'),
  hinted('printed-limit', 'resource', ({ rule }) => rule.startsWith('limits.')),
  said('address-in-use', 'infra_transient', 'address', [
    'two programs of the task want the same port: let one take a free one (port 0)',
  ]),
  said('text-busy', 'infra_transient', 'busy', [
    'a program was started while something still wrote it: wait for the end of the writer',
  ]),
  said('script-missing', 'config', 'script', ['check the name in `scripts` of package.json']),
  said('lockfile-differs', 'config', 'lockfile', [
    'run npm install on your machine, so that package.json and its lockfile agree',
  ]),
  said('module-missing', 'code', 'module', [
    'what it imports is neither in the workspace nor pinned by the lockfile, or a task that makes it is not among its `deps`',
    again,
  ]),
  said('test-runner', 'code', 'tests', [
    again,
    'write `retries: 1` into the task where a test is known to fail now and then',
  ]),
  said('compiler', 'code', 'compiler', [again]),
  hinted('needs-service', 'config', ({ id }) => id === 'network.local'),
  hinted('program-absent', 'config', ({ id }) => id === 'image.tool'),
  hinted('needs-power', 'policy', () => true),
  {
    id: 'signal',
    class: 'unknown',
    when: ({ signal }) => signal !== undefined,
    next: (facts) => [
      'it, or a program of it, was ended by a signal that Orchestra did not send',
      seeEnd(facts),
      'write `retries: 0` into the task where it shall not be tried again',
    ],
  },
];

/** By what its output looked like: the first hint that fits says what to do. */
function hinted(id: string, of: Rule['class'], fits: (entry: HintEntry) => boolean): Rule {
  const entryOf = ({ hints }: AttemptFacts) =>
    hints?.map((hint) => hintById(hint)).find((entry) => entry !== undefined && fits(entry));
  return {
    id,
    class: of,
    when: (facts) => entryOf(facts) !== undefined,
    next: (facts) => {
      const entry = entryOf(facts);
      return [entry?.title, entry?.remedy, seeEnd(facts)];
    },
  };
}

function said(
  id: string,
  of: Rule['class'],
  signature: Parameters<typeof shows>[0],
  steps: readonly string[],
): Rule {
  return {
    id,
    class: of,
    when: ({ tail }) => shows(signature, tail),
    next: (facts) => [seeEnd(facts), ...steps],
  };
}
