import { follow, type CommandSpec } from './command-spec.ts';

/** `orchestra audit …`. */
export const auditCommands: readonly CommandSpec[] = [
  {
    name: 'list',
    text: 'records by filter, oldest first',
    group: 'Trust',
    options: [
      { flags: '--run <run>', text: 'of this run' },
      { flags: '--type <type>', text: 'of this type, such as task.finished' },
      { flags: '--outcome <outcome>', text: 'ok, denied, failed or unknown' },
      { flags: '-n, --limit <n>', text: 'how many (default: 50)' },
      { flags: '--from <seq>', text: 'from this sequence number on' },
    ],
    load: async () => (await import('./commands/audit-list.ts')).auditList,
  },
  {
    name: 'tail',
    text: 'the newest records',
    group: 'Trust',
    options: [follow, { flags: '-n, --limit <n>', text: 'how many (default: 20)' }],
    load: async () => (await import('./commands/audit-list.ts')).auditTail,
  },
  {
    name: 'show',
    args: '<seq>',
    text: 'one record, hashed again',
    group: 'Trust',
    load: async () => (await import('./commands/audit-list.ts')).auditShow,
  },
  {
    name: 'verify',
    args: '[dir]',
    text: 'check the whole log, by the daemon or here on a copy in DIR',
    group: 'Trust',
    options: [
      { flags: '--head <size:hash>', text: 'with DIR: what the log must at least hold' },
      { flags: '--strict', text: 'incomplete counts as broken' },
      { flags: '--accept-new-log', text: 'the log at this socket was replaced on purpose' },
    ],
    load: async () => (await import('./commands/audit-verify.ts')).auditVerify,
  },
  {
    name: 'coverage',
    text: 'every type of record, and the test that makes a daemon emit it',
    group: 'Trust',
    load: async () => (await import('./commands/audit-coverage.ts')).auditCoverage,
  },
  {
    name: 'prune',
    text: 'let the oldest part of the log go, by a signed record that says so',
    group: 'Care',
    options: [
      { flags: '-n, --dry-run', text: 'only say what would go' },
      { flags: '--keep <days>', text: 'keep so many days, such as 400d (default: audit.keep_days)' },
      { flags: '-y, --yes', text: 'do not ask' },
    ],
    load: async () => (await import('./commands/audit-prune.ts')).auditPrune,
  },
  {
    name: 'hold',
    text: 'what of the log is not pruned, whatever its age',
    group: 'Care',
    children: [
      {
        name: 'list',
        text: 'the holds that are in force',
        group: 'Care',
        load: async () => (await import('./commands/audit-hold.ts')).auditHoldList,
      },
      {
        name: 'set',
        args: '<name>',
        text: 'hold the log, or what was recorded in a time',
        group: 'Care',
        options: [
          { flags: '--reason <text>', text: 'why; it is on record' },
          { flags: '--since <time>', text: 'from this day or time on' },
          { flags: '--until <time>', text: 'up to this day or time' },
        ],
        load: async () => (await import('./commands/audit-hold.ts')).auditHoldSet,
      },
      {
        name: 'clear',
        args: '<name>',
        text: 'take a hold back',
        group: 'Care',
        options: [{ flags: '--reason <text>', text: 'why; it is on record' }],
        load: async () => (await import('./commands/audit-hold.ts')).auditHoldClear,
      },
    ],
  },
];
