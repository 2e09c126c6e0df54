import type { LimitName } from '#contract/run.ts';
import type { AttemptFacts, Rule } from './facts.ts';
import { onTask, raiseLimit } from './next-steps.ts';

/** The limits that end an attempt, except those of time. What more there is to do than to raise it. */
export const limitRules: readonly Rule[] = [
  rule('oom', 'memory', 'or lower its parallelism (-j, --maxWorkers), or its heap'),
  rule('limit-output', 'output', 'or let it say less: a quieter log level, or into a file'),
  rule('limit-pids', 'pids', 'or lower its parallelism (-j, --maxWorkers)'),
  rule('limit-open-files', 'open_files', 'or let it open fewer at once'),
  rule('limit-file-size', 'file_size', 'or let it write several smaller files'),
  rule('limit-tmp', 'tmp', 'or write large files beneath /workspace'),
  rule('limit-disk', 'disk', 'or let it leave less behind: caches, debug files, copies'),
  rule('limit-disk-files', 'disk_files', 'or let it leave fewer files behind'),
  {
    id: 'limit-other',
    class: 'resource',
    when: ({ limit }) => limit !== undefined,
    next: (facts) => steps(facts),
  },
];

function rule(id: string, name: LimitName, instead: string): Rule {
  return {
    id,
    class: 'resource',
    when: ({ limit }) => limit?.name === name,
    next: (facts) => steps(facts, instead),
  };
}

function steps(facts: AttemptFacts, instead?: string): (string | undefined)[] {
  const { limit } = facts;
  return [
    limit && raiseLimit(limit),
    instead,
    `see every limit and where it comes from: ${onTask('explain', facts)}`,
  ];
}
