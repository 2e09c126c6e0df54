import type { Population } from './population.ts';

type Criterion = {
  id: string;
  /** What the criterion is about, shortly and in our words. */
  about: string;
  /** Types of records that speak to it; `denied` counts every refusal. */
  types: readonly string[];
  files: readonly string[];
  look: string;
};

/** Which part of a bundle speaks to which SOC 2 criterion. It helps an examination and is none. */
const criteria: readonly Criterion[] = [
  {
    id: 'CC6.1',
    about: 'logical access',
    types: ['auth', 'secret.granted', 'policy.decided'],
    files: ['actors.csv', 'decisions.csv'],
    look: 'each caller by how the kernel or a file proved it; each decision, allowed and denied',
  },
  {
    id: 'CC6.2',
    about: 'who is given access',
    types: ['auth', 'token', 'secret.set', 'secret.removed'],
    files: ['actors.csv', 'changes.csv'],
    look: 'who acted for the first time within the time; accounts themselves are the system’s',
  },
  {
    id: 'CC6.3',
    about: 'access by role and its change',
    types: ['policy', 'secret'],
    files: ['policies.json', 'changes.csv'],
    look: 'which policy gave what to whom, and from when to when it was in force',
  },
  {
    id: 'CC6.6',
    about: 'boundaries against the outside',
    types: ['sandbox', 'container.create', 'container.settings', 'package'],
    files: ['decisions.csv', 'runs.csv'],
    look: 'every sandbox with its settings as inspected; what was fetched from outside, by hash',
  },
  {
    id: 'CC6.8',
    about: 'software that must not run',
    types: ['image', 'package', 'sandbox.violation', 'policy.decided'],
    files: ['decisions.csv', 'alerts.csv'],
    look: 'images and packages that were refused, and what a task tried and was stopped at',
  },
  {
    id: 'CC7.1',
    about: 'changes of configuration',
    types: ['config', 'policy.loaded', 'policy.rejected', 'image', 'runtime', 'daemon.started'],
    files: ['changes.csv', 'policies.json'],
    look: 'each configuration, policy and image by digest, with the record that brought it',
  },
  {
    id: 'CC7.2',
    about: 'monitoring for anomalies',
    types: ['limit.exceeded', 'sandbox.violation', 'component', 'log.verified', 'log.heartbeat'],
    files: ['alerts.csv', 'continuity.json', 'verify.json'],
    look: 'warnings and alerts, and that the log was kept without a gap',
  },
  {
    id: 'CC7.3',
    about: 'evaluation of security events',
    types: [
      'sandbox.violation',
      'run.refused',
      'image.refused',
      'api.rejected',
      'access.denied',
      'auth.failed',
    ],
    files: ['alerts.csv', 'decisions.csv'],
    look: 'each event with run and record, from which `orchestra audit extract RUN` goes on',
  },
  {
    id: 'CC7.4',
    about: 'response to incidents',
    types: ['run.cancel', 'run.cancelled', 'container.killed', 'container.signal', 'log.extracted'],
    files: ['decisions.csv', 'runs.csv'],
    look: 'what was ended, by whom or by which rule, and which runs were taken out as evidence',
  },
  {
    id: 'CC8.1',
    about: 'changes are authorised',
    types: ['policy.loaded', 'config.loaded', 'image.resolved', 'key'],
    files: ['policies.json', 'changes.csv'],
    look: 'each change with who or what made it, its digest and when it came into force',
  },
];

export function criteriaText(population: Population): string {
  const rows = criteria.map(({ id, about, types, files, look }) => {
    const records = population.of(...types);
    return `| ${id} | ${about} | ${files.join(', ')} | ${records} | ${look} |`;
  });
  return [
    '# Where to look, by SOC 2 criterion',
    '',
    'This bundle helps whoever examines the controls of a company that uses Orchestra. It says what the',
    'daemon recorded; whether that is enough is for the examiner to say. Orchestra is not certified, and',
    'no bundle makes its user so.',
    '',
    '| criterion | is about | file | records | what to look at |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    'Populations are complete: `population.csv` counts every record of the time, and `records` of',
    '`manifest.json` is their sum. Samples of runs are drawn from `runs.csv`; each row names the records',
    'that `orchestra audit show SEQ` and `orchestra audit extract RUN` give with proofs.',
    '',
  ].join('\n');
}
