import type { Rule } from './facts.ts';
import { onRun, onTask, raiseLimit } from './next-steps.ts';

/** Our own doing: somebody asked for the end, a wall was broken, or time was up. */
export const stopRules: readonly Rule[] = [
  {
    id: 'cancelled',
    class: 'unknown',
    when: ({ outcome, errorCode }) => outcome === 'cancelled' || errorCode === 'daemon.stopping',
    next: ({ run }) => [`go on where it was stopped: ${onRun('resume', run)}`],
  },
  {
    id: 'seccomp-killed',
    class: 'policy',
    when: ({ outcome, signal }) => outcome === 'violated' && signal === 'SIGSYS',
    next: (facts) => [
      'no policy allows the call that it made: docs/SECURITY.md lists them',
      `see what it was allowed: ${onTask('explain', facts)}`,
    ],
  },
  {
    id: 'own-timeout',
    class: 'timeout',
    when: ({ limit }) => limit?.name === 'timeout',
    next: (facts) => [
      raiseLimit(facts.limit ?? { name: 'timeout' }),
      `see what it did last: ${onTask('logs', facts)} --tail 50`,
    ],
  },
  {
    id: 'own-silence',
    class: 'timeout',
    when: ({ limit }) => limit?.name === 'idle',
    next: (facts) => [
      raiseLimit(facts.limit ?? { name: 'idle' }),
      'or let it say now and then how far it is',
      `see what it did last: ${onTask('logs', facts)} --tail 50`,
    ],
  },
  {
    id: 'run-timeout',
    class: 'timeout',
    when: ({ outcome }) => outcome === 'timed_out',
    next: ({ run }) => [
      `go on with what is left: ${onRun('resume', run)} --timeout 2h`,
      'tasks that succeeded are not run again',
    ],
  },
];
