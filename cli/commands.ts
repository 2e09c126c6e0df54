import type { Role } from '#contract/access.ts';
import type { Scope } from '#contract/tokens.ts';
import { auditCommands } from './audit-table.ts';
import { follow, type CommandSpec, type OptionSpec } from './command-spec.ts';
import { groups } from './selftest/attack.ts';

export const globalOptions: readonly OptionSpec[] = [
  {
    flags: '--host <address>',
    text: 'the daemon to speak to: unix:///path or https://host:port (ORCHESTRA_HOST)',
  },
  { flags: '--json', text: 'JSON on stdout, one object or one a line; errors too' },
  { flags: '--local', text: 'run a daemon of its own for this command only' },
  {
    flags: '--state-dir <dir>',
    text: 'with --local: where that daemon keeps its state; with audit acknowledge-loss: which state',
    values: 'directory',
  },
  { flags: '-q, --quiet', text: 'say only what was asked for' },
  { flags: '-v, --verbose', text: 'say more about what is going on' },
  { flags: '--no-color', text: 'no colours (NO_COLOR)' },
];

const workspace: OptionSpec = {
  flags: '-w, --workspace <dir>',
  text: 'the directory to work on (default: here)',
  values: 'directory',
};
const policy: OptionSpec = {
  flags: '--policy <name|file>',
  text: 'a policy of the daemon, or a file that narrows it',
  values: ['default', 'strict', 'ci'],
};
const config: OptionSpec = {
  flags: '-c, --config <file>',
  text: 'defaults for these flags, as YAML',
  values: 'file',
};
const plan: OptionSpec = {
  flags: '--plan <file>',
  text: 'run this plan instead of making one',
  values: 'file',
};
const planner: OptionSpec = {
  flags: '--planner <name>',
  text: 'ask this planner alone: rules, or one of the daemon’s configuration',
  values: ['rules'],
};
const outputs = ['tree', 'plain', 'json', 'quiet'] as const;
const output: OptionSpec = {
  flags: '--output <form>',
  text: 'tree, plain, json or quiet (default: tree on a terminal, else plain)',
  values: outputs,
};
const reportDir: OptionSpec = {
  flags: '--report-dir <dir>',
  text: 'where the folder of the run is written (default: ./runs)',
  values: 'directory',
};
const limits: readonly OptionSpec[] = [
  { flags: '-j, --concurrency <n>', text: 'how many tasks at once' },
  { flags: '--timeout <duration>', text: 'for the whole run: 90s, 10m, 1h30m' },
];
const detached: OptionSpec = { flags: '-d, --detach', text: 'start it and leave' };
const people: readonly OptionSpec[] = [
  {
    flags: '--approval <mode>',
    text: 'where a task waits for people: ask here, wait, or fail with exit 6 (default: ask on a terminal, else fail)',
    values: ['ask', 'wait', 'fail'],
  },
  {
    flags: '--answer <name=value>',
    text: 'an answer to a question of the plan, once for each; never of a secret',
    isRepeated: true,
  },
  {
    flags: '--answers <file>',
    text: 'answers as YAML, NAME: value; of secrets too',
    values: 'file',
  },
];
const noCache: OptionSpec = {
  flags: '--no-cache',
  text: 'run every task, even one that ran before with the same inputs',
};
const replan: OptionSpec = {
  flags: '--replan <n>',
  text: 'how often the plan may be changed when a task fails for good, or off (default: 3 for a plan made of words, else off)',
};
const priority: OptionSpec = {
  flags: '--priority <n>',
  text: '-100 to 100: goes before runs of a lower one (default: 0)',
};
const autonomous: OptionSpec = {
  flags: '--autonomous',
  text: 'choose among all programs of the image; the plan is tried first, and people are asked for what is new',
};
const goOn: readonly OptionSpec[] = [
  { flags: '--again', text: 'tasks with side effects that began before may run once more' },
  { flags: '--dry-run', text: 'only say what is kept and what would run' },
  ...limits,
  output,
  reportDir,
  ...people,
  detached,
];
const ofUser: OptionSpec = {
  flags: '--user <uid>',
  text: 'whose list (default: your own)',
};
const raw: OptionSpec = { flags: '--raw', text: 'exact bytes, even those that steer a terminal' };

/** Every command of the CLI. Help, parser, completion and the tests are made from this table. */
export const commands: readonly CommandSpec[] = [
  {
    name: 'run',
    args: '[intent]',
    text: 'plan the intent and run it, each task in its own locked container',
    group: 'Start',
    options: [
      plan,
      planner,
      autonomous,
      workspace,
      policy,
      config,
      ...limits,
      noCache,
      replan,
      priority,
      output,
      reportDir,
      ...people,
      detached,
    ],
    load: async () => (await import('./commands/run.ts')).run,
  },
  {
    name: 'replan',
    args: '<run>',
    first: 'run',
    text: 'another plan for what is left of a run that failed, within what its first plan could do',
    group: 'Start',
    options: [
      { flags: '--task <task>', text: 'the failed task that is meant (default: the first)' },
      { flags: '--hint <text>', text: 'for the planner: what you know about it' },
      ...goOn,
    ],
    load: async () => (await import('./commands/resume.ts')).replan,
  },
  {
    name: 'resume',
    args: '[run]',
    first: 'run',
    text: 'go on from a run that failed, was cut off or is paused (default: @last)',
    group: 'Start',
    options: [
      { flags: '--from <file>', text: 'from a checkpoint.json, of another daemon too' },
      policy,
      ...goOn,
    ],
    load: async () => (await import('./commands/resume.ts')).resume,
  },
  {
    name: 'retry',
    args: '<run> <task>',
    first: 'run',
    text: 'run one task of a run again, and what depends on it',
    group: 'Start',
    options: goOn,
    load: async () => (await import('./commands/resume.ts')).retry,
  },
  {
    name: 'fork',
    args: '<run>',
    first: 'run',
    text: 'run a run again from one task on',
    group: 'Start',
    options: [{ flags: '--from <task>', text: 'this one' }, ...goOn],
    load: async () => (await import('./commands/resume.ts')).fork,
  },
  {
    name: 'plan',
    args: '[intent]',
    text: 'show what would run; nothing is run',
    group: 'Start',
    options: [
      plan,
      planner,
      { flags: '--compare', text: 'ask every planner at once, and score their plans' },
      { flags: '--tokens <n>', text: 'with --compare: what all of them together may use' },
      workspace,
      policy,
      config,
      ...limits,
      { flags: '-o, --out <file>', text: 'write the plan there, for run --plan', values: 'file' },
    ],
    load: async () => (await import('./commands/plan.ts')).plan,
    children: [
      {
        name: 'diff',
        args: '<from> <to>',
        text: 'what differs between two plans, each a file or a run',
        group: 'Start',
        options: [{ flags: '--exit-code', text: 'exit 10 when they differ' }],
        more: 'What a plan may do comes first. Tasks are told apart by what they do, not by name.',
        load: async () => (await import('./commands/plan-diff.ts')).planDiff,
      },
    ],
  },
  {
    name: 'exec',
    args: '<command...>',
    text: 'run one command as a task: orchestra exec -- npm test',
    group: 'Start',
    options: [
      workspace,
      policy,
      config,
      { flags: '--timeout <duration>', text: '90s, 10m' },
      priority,
      ...people,
      raw,
    ],
    load: async () => (await import('./commands/exec.ts')).exec,
  },
  {
    name: 'runs',
    alias: 'ps',
    text: 'list runs, newest first',
    group: 'Watch',
    options: [
      { flags: '--state <state>', text: 'only those in this state' },
      { flags: '-n, --limit <n>', text: 'how many (default: 20)' },
    ],
    load: async () => (await import('./commands/runs.ts')).runs,
  },
  {
    name: 'show',
    args: '<run>',
    first: 'run',
    text: 'one run with its tasks',
    group: 'Watch',
    load: async () => (await import('./commands/show.ts')).show,
  },
  {
    name: 'watch',
    args: '[run]',
    first: 'run',
    text: 'follow a run to its end',
    group: 'Watch',
    options: [output],
    load: async () => (await import('./commands/watch.ts')).watch,
  },
  {
    name: 'wait',
    args: '[run]',
    first: 'run',
    text: "wait for the end of a run; the exit code is the run's",
    group: 'Watch',
    options: [{ flags: '--timeout <duration>', text: 'stop waiting after this, with exit 3' }],
    load: async () => (await import('./commands/wait.ts')).wait,
  },
  {
    name: 'explain',
    args: '<run> [task]',
    first: 'run',
    text: 'why a task ran as it did, setting by setting; `explain plan [run]`: why its plan is as it is',
    group: 'Watch',
    options: [{ flags: '--attempt <n>', text: 'an earlier attempt (default: the last)' }],
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  {
    name: 'logs',
    args: '<run> [task]',
    first: 'run',
    text: 'what the tasks wrote',
    group: 'Watch',
    options: [follow, raw, { flags: '--tail <n>', text: 'only the last lines of each task' }],
    load: async () => (await import('./commands/logs.ts')).logs,
  },
  {
    name: 'report',
    args: '<run>',
    first: 'run',
    text: 'the report as Markdown',
    group: 'Watch',
    options: [{ flags: '-o, --out <file>', text: 'write it there', values: 'file' }, raw],
    load: async () => (await import('./commands/report.ts')).report,
  },
  {
    name: 'artifacts',
    text: 'declared outputs of a run',
    group: 'Watch',
    children: [
      {
        name: 'ls',
        args: '<run>',
        first: 'run',
        text: 'list them with sizes and digests',
        group: 'Watch',
        load: async () => (await import('./commands/artifacts.ts')).artifactsLs,
      },
      {
        name: 'get',
        args: '<run> <name>',
        first: 'run',
        text: 'download one; NAME or TASK/NAME; a directory comes as tar',
        group: 'Watch',
        options: [
          { flags: '-o, --out <file>', text: 'write it there; - for stdout', values: 'file' },
        ],
        load: async () => (await import('./commands/artifacts.ts')).artifactsGet,
      },
    ],
  },
  {
    name: 'provenance',
    args: '<run> [artifact] [file]',
    first: 'run',
    text: 'how artifacts came to be, signed; verify FILE [ARTIFACT] checks it without a daemon',
    group: 'Trust',
    options: [
      { flags: '-o, --out <file>', text: 'write it there', values: 'file' },
      {
        flags: '--key <key>',
        text: 'with verify: the key that signed it, as a file or its sha256:…; see provenance key',
      },
    ],
    load: async () => (await import('./commands/provenance.ts')).provenance,
  },
  {
    name: 'diff',
    args: '<run>',
    first: 'run',
    text: 'what the run changed in the workspace',
    group: 'Watch',
    options: [
      { flags: '--stat', text: 'names only' },
      { flags: '--patch', text: 'all of it as git apply takes it, binary and modes too' },
      { flags: '--exit-code', text: 'exit 10 when there are changes' },
    ],
    load: async () => (await import('./commands/diff.ts')).diff,
  },
  {
    name: 'apply',
    args: '<run>',
    first: 'run',
    text: 'write what the run changed into the workspace',
    group: 'Watch',
    options: [
      workspace,
      { flags: '--check', text: 'only say whether it would apply' },
      { flags: '--ignored', text: 'also what .gitignore names, such as build outputs' },
    ],
    load: async () => (await import('./commands/apply.ts')).apply,
  },
  {
    name: 'pause',
    args: '<run>',
    first: 'run',
    text: 'start nothing new of a run; orchestra resume goes on',
    group: 'Watch',
    options: [
      { flags: '--freeze', text: 'what runs stands still too, and so do its clocks' },
      { flags: '--reason <text>', text: 'goes into the log' },
    ],
    load: async () => (await import('./commands/pause.ts')).pause,
  },
  {
    name: 'cancel',
    args: '<run>',
    first: 'run',
    text: 'stop a run and its containers',
    group: 'Watch',
    options: [{ flags: '--reason <text>', text: 'goes into the log' }],
    load: async () => (await import('./commands/cancel.ts')).cancel,
  },
  {
    name: 'rate',
    args: '<run> <up|down>',
    first: 'run',
    text: 'say whether a run was of use: plans like its own are chosen by that, too',
    group: 'Watch',
    options: [{ flags: '--note <text>', text: 'why; kept in the vault' }],
    load: async () => (await import('./commands/rate.ts')).rate,
  },
  {
    name: 'learned',
    args: '[family]',
    text: 'what earlier runs taught: which tasks and plans do well, what goes wrong, what helps',
    group: 'Watch',
    load: async () => (await import('./commands/learned.ts')).learnedShow,
    children: [
      {
        name: 'show',
        args: '[family]',
        text: 'the same',
        group: 'Watch',
        load: async () => (await import('./commands/learned.ts')).learnedShow,
      },
      {
        name: 'export',
        text: 'all of it as JSON',
        group: 'Watch',
        load: async () => (await import('./commands/learned.ts')).learnedExport,
      },
      {
        name: 'forget',
        text: 'from here on, what came before teaches nothing',
        group: 'Watch',
        options: [
          { flags: '--family <words>', text: 'of tasks like this alone, such as "npm test"' },
          { flags: '--all', text: 'of everything' },
          { flags: '--everybody', text: 'of everybody’s runs; for an admin' },
        ],
        load: async () => (await import('./commands/learned.ts')).learnedForget,
      },
    ],
  },
  {
    name: 'approvals',
    args: '[request] [task]',
    text: 'what runs ask people; with a request, or RUN TASK, all of it',
    group: 'Watch',
    options: [{ flags: '--all', text: 'also what is over' }],
    load: async () => (await import('./commands/approvals.ts')).approvals,
  },
  {
    name: 'approve',
    args: '<request> [task]',
    first: 'run',
    text: 'let one task go, once: REQUEST, or RUN TASK',
    group: 'Watch',
    options: [
      { flags: '--digest <digest>', text: 'of what was shown; without a terminal it takes one' },
    ],
    load: async () => (await import('./commands/approvals.ts')).approve,
  },
  {
    name: 'deny',
    args: '<request> [task]',
    first: 'run',
    text: 'say no to a task, or to a question: REQUEST, or RUN TASK',
    group: 'Watch',
    options: [
      { flags: '--reason <text>', text: 'goes into the log and the report' },
      { flags: '--digest <digest>', text: 'of what was shown' },
    ],
    load: async () => (await import('./commands/approvals.ts')).deny,
  },
  {
    name: 'answer',
    args: '<run> [question] [value]',
    first: 'run',
    text: 'answer a question of a plan; a secret comes from --file',
    group: 'Watch',
    options: [
      { flags: '--file <file>', text: 'the value is in there; - for stdin', values: 'file' },
    ],
    load: async () => (await import('./commands/answer.ts')).answer,
  },
  {
    name: 'audit',
    text: 'the log that nobody can quietly change',
    group: 'Trust',
    children: auditCommands,
  },
  {
    name: 'policy',
    text: 'what tasks may do',
    group: 'Trust',
    children: [
      {
        name: 'show',
        args: '[name]',
        text: 'the policies of the daemon, or one of them as it applies',
        group: 'Trust',
        load: async () => (await import('./commands/policy.ts')).policyShow,
      },
      {
        name: 'check',
        args: '<file>',
        text: 'check a policy file, with places',
        group: 'Trust',
        load: async () => (await import('./commands/policy.ts')).policyCheck,
      },
      {
        name: 'reload',
        text: 'read all policies anew: all of them come into force, or none',
        group: 'Trust',
        load: async () => (await import('./commands/policy.ts')).policyReload,
      },
      {
        name: 'schema',
        text: 'the JSON Schema of policies, for editors',
        group: 'Trust',
        load: async () => (await import('./commands/policy.ts')).policySchema,
      },
      {
        name: 'explain',
        args: '<run> [task]',
        first: 'run',
        text: 'which rule of which document decided what; of one task, every rule and its value',
        group: 'Trust',
        options: [{ flags: '--limit <n>', text: 'how many tasks (default: 100)' }],
        load: async () => (await import('./commands/policy-explain.ts')).policyExplain,
      },
      {
        name: 'test',
        args: '[file|dir]',
        text: 'judge the cases in NAME.test.yaml beside NAME.yaml; 1 where one is not as expected',
        group: 'Trust',
        options: [
          {
            flags: '--coverage-min <percent>',
            text: '1 where fewer rules and profiles are reached',
          },
          { flags: '--under-ceiling', text: 'judged beneath the ceiling of the daemon as well' },
        ],
        load: async () => (await import('./commands/policy-test.ts')).policyTest,
      },
      {
        name: 'diff',
        args: '<before> <after>',
        text: 'what becomes possible and what impossible from one policy, a name or a file, to another',
        group: 'Trust',
        options: [{ flags: '--exit-code', text: '10 where there is a difference' }],
        load: async () => (await import('./commands/policy-diff.ts')).policyDiff,
      },
      {
        name: 'dry-run',
        args: '<policy>',
        text: 'which tasks on record a policy, a name or a file, would decide otherwise',
        group: 'Trust',
        options: [
          { flags: '--since <time>', text: 'runs since then: 30d, 12h or a date' },
          { flags: '--runs <n>', text: 'the newest ones only (default: 1000)' },
          { flags: '--exit-code', text: '10 where something would change' },
        ],
        load: async () => (await import('./commands/policy-dry-run.ts')).policyDryRun,
      },
    ],
  },
  {
    name: 'secret',
    text: 'values that tasks may be given, by name',
    group: 'Trust',
    children: [
      {
        name: 'ls',
        text: 'their names; no command shows a value',
        group: 'Trust',
        load: async () => (await import('./commands/secret.ts')).secretLs,
      },
      {
        name: 'set',
        args: '<name>',
        text: 'set or replace one; the value is read from standard input',
        group: 'Trust',
        load: async () => (await import('./commands/secret.ts')).secretSet,
      },
      {
        name: 'rm',
        args: '<name>',
        text: 'remove one',
        group: 'Trust',
        load: async () => (await import('./commands/secret.ts')).secretRm,
      },
    ],
  },
  {
    name: 'tools',
    text: 'programs of the sandbox image, and which of them tasks may have unasked',
    group: 'Trust',
    options: [{ flags: '-a, --all', text: 'links to the same small program too' }, ofUser],
    load: async () => (await import('./commands/tools.ts')).toolsLs,
    children: [
      {
        name: 'show',
        args: '<name>',
        text: 'one program: its file, its image, and who allowed it',
        group: 'Trust',
        options: [ofUser],
        load: async () => (await import('./commands/tools.ts')).toolsShow,
      },
      {
        name: 'withdraw',
        args: '<name>',
        text: 'take one off the list: it is asked for the next time',
        group: 'Trust',
        options: [ofUser],
        load: async () => (await import('./commands/tools.ts')).toolsWithdraw,
      },
      {
        name: 'export',
        text: 'the lists as YAML, to be reviewed',
        group: 'Trust',
        options: [ofUser],
        load: async () => (await import('./commands/tools.ts')).toolsExport,
      },
    ],
  },
  {
    name: 'whoami',
    text: 'as whom the daemon knows you, what you may do, and what is left of your quotas',
    group: 'Trust',
    load: async () => (await import('./commands/whoami.ts')).whoami,
  },
  {
    name: 'usage',
    text: 'who used how much today, and holds how much of the disk',
    group: 'Trust',
    options: [{ flags: '--user <user>', text: 'only this one: a name or uid:N' }],
    load: async () => (await import('./commands/whoami.ts')).usage,
  },
  {
    name: 'token',
    text: 'tokens for the network: each stands for its owner, and for no more than he may',
    group: 'Trust',
    children: [
      {
        name: 'create',
        text: 'make one; it is shown once',
        group: 'Trust',
        options: [
          { flags: '--for <user>', text: 'its owner, a name or a number (default: you)' },
          {
            flags: '--role <role>',
            text: 'what of your roles it has, joined by commas (default: all but admin)',
            values: ['viewer', 'runner', 'approver', 'auditor', 'admin'] satisfies Role[],
          },
          {
            flags: '--scope <scope>',
            text: 'what it is for, joined by commas (default: runs:read,runs:write)',
            values: [
              'all',
              'runs:read',
              'runs:write',
              'requests:write',
              'audit:read',
            ] satisfies Scope[],
          },
          { flags: '--expires <duration>', text: 'how long it is good: 12h, 30d (default: 30d)' },
          { flags: '--note <text>', text: 'what it is for, in words; goes into the log' },
          { flags: '-o, --out <file>', text: 'write it there, for you alone', values: 'file' },
        ],
        load: async () => (await import('./commands/token.ts')).tokenCreate,
      },
      {
        name: 'list',
        text: 'your tokens, without what is secret of them; all of them for an admin',
        group: 'Trust',
        load: async () => (await import('./commands/token.ts')).tokenList,
      },
      {
        name: 'revoke',
        args: '<id>',
        text: 'take one back, at once; what is open with it ends',
        group: 'Trust',
        options: [{ flags: '--reason <text>', text: 'goes into the log' }],
        load: async () => (await import('./commands/token.ts')).tokenRevoke,
      },
    ],
  },
  {
    name: 'login',
    args: '[host]',
    text: 'keep a token for a daemon of the network; it is read from standard input',
    group: 'Trust',
    load: async () => (await import('./commands/login.ts')).login,
  },
  {
    name: 'logout',
    args: '[host]',
    text: 'forget it again',
    group: 'Trust',
    load: async () => (await import('./commands/login.ts')).logout,
  },
  {
    name: 'selftest',
    args: '[verb] [dir]',
    first: ['verify'],
    text: 'attack this installation and say which walls hold; verify DIR checks such a report',
    group: 'Trust',
    options: [
      { flags: '--hostile', text: 'make the attacks: tasks, plans, requests; takes some minutes' },
      { flags: '--runtime <name>', text: 'in this runtime of the engine, which the policy allows' },
      { flags: '--group <group>', text: 'only this group', values: groups },
      { flags: '--only <ids>', text: 'only these attacks, joined by commas' },
      { flags: '--list', text: 'the attacks with their ids; nothing is attacked' },
      { ...reportDir, text: 'where the folder of the report is written (default: here)' },
      { flags: '--key <fingerprint>', text: 'with verify: the key that it must be signed by' },
    ],
    load: async () => (await import('./commands/selftest.ts')).selftest,
  },
  {
    name: 'doctor',
    text: 'what is there, what is missing, and the remedy',
    group: 'Care',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    name: 'engine',
    text: "the container engine, Orchestra's own or the machine's",
    group: 'Care',
    children: [
      {
        name: 'status',
        text: 'which one answers',
        group: 'Care',
        load: async () => (await import('./commands/engine.ts')).engineStatus,
      },
      {
        name: 'stop',
        text: "stop Orchestra's own engine",
        group: 'Care',
        options: [{ flags: '--force', text: 'even while containers of others run in it' }],
        load: async () => (await import('./commands/engine.ts')).engineStop,
      },
    ],
  },
  {
    name: 'image',
    text: 'what tasks run in',
    group: 'Care',
    children: [
      {
        name: 'ls',
        text: 'the sandbox images that the engine holds',
        group: 'Care',
        load: async () => (await import('./commands/image.ts')).imageLs,
      },
      {
        name: 'build',
        text: 'assemble the sandbox image from what this machine has',
        group: 'Care',
        load: async () => (await import('./commands/image.ts')).imageBuild,
      },
      {
        name: 'load',
        args: '<file>',
        text: 'load an image archive, such as image.tar of a bundle, into the engine',
        group: 'Care',
        load: async () => (await import('./commands/image.ts')).imageLoad,
      },
      {
        name: 'pin',
        args: '<reference>',
        text: 'let the daemon trust the digest that the engine has now',
        group: 'Care',
        load: async () => (await import('./commands/image.ts')).imagePin,
      },
    ],
  },
  {
    name: 'bundle',
    text: 'what a machine without a network is installed from',
    group: 'Care',
    children: [
      {
        name: 'verify',
        args: '<bundle>',
        text: 'check a bundle, a folder or a tar, before anything of it is installed',
        group: 'Care',
        options: [
          {
            flags: '--key <key>',
            text: 'the key that it must be signed by, as a file or its sha256:…',
            values: 'file',
          },
          { flags: '--strict', text: 'incomplete counts as broken' },
        ],
        more: `Every file is in the list of checksums and nothing else is there; the list is signed by your key;
the image is the one that the bundle names; each file of the package, and each script that installs
it, is the one in the SBOM. A key that is only found inside proves nothing: without --key a bundle
that holds together is sound but incomplete.

Exit codes: 0 verified, or sound but incomplete without --strict; 4 broken; 1 not to be checked.`,
        load: async () => (await import('./commands/bundle.ts')).bundleVerify,
      },
    ],
  },
  {
    name: 'prune',
    text: 'remove what only old runs need; the log stays',
    group: 'Care',
    options: [
      { flags: '--dry-run', text: 'only say what would go' },
      { flags: '--keep-days <n>', text: 'keep runs used within so many days, and no others' },
      { flags: '--all-but <n>', text: 'keep the last so many runs, and no others' },
      { flags: '-y, --yes', text: 'do not ask' },
    ],
    load: async () => (await import('./commands/prune.ts')).prune,
  },
  {
    name: 'config',
    text: 'settings',
    group: 'Care',
    children: [
      {
        name: 'show',
        text: 'the settings in force',
        group: 'Care',
        options: [{ flags: '--origin', text: 'and where each comes from' }, config],
        load: async () => (await import('./commands/config.ts')).configShow,
      },
    ],
  },
  {
    name: 'completion',
    args: '<shell>',
    first: ['bash', 'zsh', 'fish'],
    text: 'a completion script for bash, zsh or fish',
    group: 'Care',
    load: async () => (await import('./commands/completion.ts')).completion,
  },
  {
    name: 'version',
    text: 'the version',
    group: 'Care',
    load: async () => (await import('./commands/version.ts')).version,
  },
  {
    name: 'help',
    args: '[topic...]',
    first: ['exit-codes', 'environment'],
    text: 'help on a command, exit-codes or environment',
    group: 'Care',
    load: async () => (await import('./commands/help.ts')).help,
  },
];

/** Every command that does something, by its words. */
export function leaves(
  specs: readonly CommandSpec[] = commands,
  above: readonly string[] = [],
): { words: string[]; spec: CommandSpec }[] {
  return specs.flatMap((spec) => {
    const words = [...above, spec.name];
    const own = spec.load === undefined ? [] : [{ words, spec }];
    // The longer words first: the shell takes the first pattern that fits.
    return [...leaves(spec.children ?? [], words), ...own];
  });
}
