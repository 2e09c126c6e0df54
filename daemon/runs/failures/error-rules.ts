import { type ErrorCode, errorTable } from '#contract/errors.ts';
import type { FailureClass } from '#contract/run.ts';
import type { AttemptFacts, Rule } from './facts.ts';
import { onRun, onTask } from './next-steps.ts';

const doctor = 'see what is wrong with it: orchestra doctor';
const goOn = ({ run }: AttemptFacts) => `when it is well again: ${onRun('resume', run)}`;

/** What Orchestra itself ran into, by the code of the error; the code's own facts decide the rest. */
export const errorRules: readonly Rule[] = [
  {
    id: 'lost',
    class: 'infra_transient',
    when: ({ outcome }) => outcome === 'lost',
    next: (facts) => [
      'nobody saw how it ended: its engine or its daemon went away under it',
      `where no attempt is left: ${onTask('retry', facts)}`,
    ],
  },
  rule('policy-denied', 'policy', ['policy.denied'], (facts) => [
    `see which rule says no: ${onTask('explain', facts)}`,
    'change the task so that it needs less, or ask whoever keeps the policy',
  ]),
  rule('approval-denied', 'denied', ['approval.denied'], (facts) => [
    `who said no, and why: ${onTask('explain', facts)}`,
    `ask anew: ${onRun('resume', facts.run)}`,
  ]),
  rule('approval-expired', 'denied', ['approval.expired'], ({ run }) => [
    'nobody answered in time; orchestra approvals shows what is asked while it is',
    `ask anew: ${onRun('resume', run)}`,
  ]),
  rule('quota-exceeded', 'denied', ['quota.exceeded'], ({ run }) => [
    'how much there is and when there is more: orchestra whoami',
    `when there is: ${onRun('resume', run)}`,
  ]),
  rule('package-denied', 'policy', ['package.host_denied', 'package.integrity'], () => [
    'the lockfile names a package that the policy does not let in, or that is not what it pins',
    'make the lockfile again on your machine (npm install) and compare what changed',
  ]),
  rule('image-changed', 'policy', ['image.changed'], () => [
    'the image is not the one that was pinned: orchestra image ls',
    'where the change is wanted: orchestra image pin',
  ]),
  rule('sandbox-mismatch', 'policy', ['sandbox.mismatch'], (facts) => [
    `the engine made something else than was asked for: ${onTask('explain', facts)}`,
    doctor,
  ]),
  rule('output-refused', 'policy', ['artifact.refused'], () => [
    'a declared output is nothing that may leave a sandbox: regular files and directories only',
  ]),
  rule('runtime-vulnerable', 'policy', ['runtime.vulnerable'], () => [
    'the runtime has a known way out of its containers: update it, then orchestra doctor',
  ]),
  rule('engine-lost', 'infra_transient', ['engine.unavailable'], (facts) => [doctor, goOn(facts)], {
    component: () => 'engine',
  }),
  rule('engine-refused', 'infra_transient', ['engine.failed'], (facts) => [doctor, goOn(facts)], {
    // Where there is a choice of runtimes the one that was tried is to blame first: another may do.
    component: ({ runtime }) => (runtime === undefined ? 'engine' : `runtime:${runtime}`),
  }),
  rule('name-taken', 'infra_transient', ['engine.conflict'], () => [
    'the next attempt has a name of its own; nothing is to be done',
  ]),
  rule('engine-apart', 'infra_permanent', ['engine.not_connected'], () => [
    doctor,
    'layers do not reach the sandboxes of this engine: set it up again (orchestra engine status)',
  ]),
  rule('image-missing', 'config', ['image.unknown'], () => [
    'see which images are there: orchestra image ls',
    'make it: orchestra image build',
  ]),
  rule('disk-full', 'infra_permanent', ['disk.full', 'disk.low'], ({ run }) => [
    'free some space on the file system of the state directory: orchestra prune',
    `then: ${onRun('resume', run)}`,
  ]),
  rule('workspace-conflict', 'config', ['workspace.conflict'], () => [
    'two tasks before it changed the same path differently, and nothing says which comes first',
    'let one of them depend on the other (`deps`), or write to different paths',
  ]),
  rule('workspace-too-large', 'resource', ['workspace.too_large'], () => [
    'let it leave less behind: more files, or larger ones, than a workspace may hold',
  ]),
  rule('secret-missing', 'config', ['secret.unknown', 'secret.invalid'], () => [
    'see which secrets are there: orchestra secret ls',
    'give the one that is missing: orchestra secret set NAME',
  ]),
  rule('package-unavailable', 'infra_transient', ['package.unavailable'], ({ run }) => [
    'the registry did not answer as it should',
    `later: ${onRun('resume', run)}`,
  ]),
  rule('content-damaged', 'infra_permanent', ['blob.damaged', 'blob.unknown'], ({ run }) => [
    'what an earlier task left is missing or damaged in the store of the daemon',
    `make it again: ${onRun('fork', run)} --from TASK`,
  ]),
  // What no row above names: the facts of the code say who has to do something.
  {
    id: 'violation',
    class: 'policy',
    when: ({ outcome, errorCode }) =>
      outcome === 'violated' || (errorCode !== undefined && errorTable[errorCode].exit === 4),
    next: (facts) => [
      'it did, or got, what no sandbox may: nothing of it was kept',
      `see what it was allowed: ${onTask('explain', facts)}`,
    ],
  },
  kind(
    'settings',
    'config',
    (exit) => exit === 1,
    (facts) => [
      `see with what it ran: ${onTask('explain', facts)}`,
      'change what the reason names, then run it again',
    ],
  ),
  kind(
    'passing',
    'infra_transient',
    (_, mayPass) => mayPass,
    ({ run }) => [doctor, `later: ${onRun('resume', run)}`],
  ),
  kind(
    'broken',
    'infra_permanent',
    () => true,
    () => [
      doctor,
      'where that finds nothing it is a bug of Orchestra: orchestra audit list says what was done',
    ],
  ),
  {
    id: 'outcome-unknown',
    class: 'infra_transient',
    when: ({ outcome }) => outcome === 'unknown',
    next: (facts) => [
      'nobody saw how it ended',
      `where no attempt is left: ${onTask('retry', facts)}`,
    ],
  },
];

function rule(
  id: string,
  failureClass: FailureClass,
  codes: readonly ErrorCode[],
  next: Rule['next'],
  more: Pick<Rule, 'component'> = {},
): Rule {
  return {
    id,
    class: failureClass,
    when: ({ errorCode }) => errorCode !== undefined && codes.includes(errorCode),
    next,
    ...more,
  };
}

function kind(
  id: string,
  failureClass: FailureClass,
  fits: (exit: number, mayPass: boolean) => boolean,
  next: Rule['next'],
): Rule {
  const when = ({ errorCode }: AttemptFacts) => {
    if (errorCode === undefined) return false;
    const { exit, retry } = errorTable[errorCode];
    return fits(exit, retry);
  };
  return { id, class: failureClass, when, next };
}
