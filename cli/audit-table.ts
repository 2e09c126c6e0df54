import { follow, type CommandSpec, type OptionSpec } from './command-spec.ts';

const outcomes = ['ok', 'denied', 'failed', 'unknown'] as const;
const severities = ['info', 'notice', 'warn', 'alert'] as const;

/** Which records are meant: what is said has to hold, all of it. */
const filter: readonly OptionSpec[] = [
  { flags: '--run <run>', text: 'of this run' },
  {
    flags: '--type <type>',
    text: 'of this type, such as task.finished; container.* for all beneath',
    values: 'record-types',
  },
  { flags: '--actor <actor>', text: 'by this user name or uid, or by user, daemon or task' },
  { flags: '--outcome <outcome>', text: 'ok, denied, failed or unknown', values: outcomes },
  {
    flags: '--severity <severity>',
    text: 'info, notice, warn or alert, and whatever is more important',
    values: severities,
  },
  { flags: '--since <time>', text: 'not before: 2h ago, 2026-11-20, or a time with its zone' },
  { flags: '--until <time>', text: 'not after; a day counts to its end, in UTC' },
  { flags: '--text <words>', text: 'with these letters anywhere in the line' },
];
const rawLines: OptionSpec = {
  flags: '--raw',
  text: 'exact bytes, even those that steer a terminal',
};

/** `orchestra audit …`. */
export const auditCommands: readonly CommandSpec[] = [
  {
    name: 'list',
    text: 'records by filter, oldest first',
    group: 'Trust',
    options: [
      ...filter,
      { flags: '-n, --limit <n>', text: 'how many (default: 50)' },
      { flags: '--from <seq>', text: 'from this sequence number on' },
      { flags: '--newest', text: 'newest first; --from then counts down' },
      {
        flags: '--from-segments',
        text: 'read the files to their end, past the index, and compare with what it would show',
      },
      rawLines,
    ],
    more: `Every line is read from its segment and hashed again before it is shown, so the index can
hide a record and never change one. A number that is missing from what was looked at is noticed. A
row that was changed so that no filter meets it is not: --from-segments reads past the index, says
how many records the index would have hidden, and ends with 4 where there are any.

A search for --text reads lines, so it is quick only with another filter beside it. Each reading of
the log is itself a record (log.read) before anything is shown.

--raw writes exact lines, one record each, as they lie in the log, to a file or a program. So
  (printf '\\0'; orchestra audit list --from 0 -n 1 --raw | tr -d '\\n') | sha256sum
is the prev of record 1.

Examples:
  orchestra audit list --severity alert --since 24h
  orchestra audit list --type 'container.*' --run @last
  orchestra audit list --actor 1000 --outcome denied --newest`,
    load: async () => (await import('./commands/audit-list.ts')).auditList,
  },
  {
    name: 'tail',
    text: 'the newest records',
    group: 'Trust',
    options: [
      follow,
      { flags: '-n, --limit <n>', text: 'how many (default: 20)' },
      ...filter,
      rawLines,
    ],
    more: `With --follow it goes on with every record that the filter meets, from where the first answer
ended: nothing between is missed, and after a broken connection nothing comes twice.`,
    load: async () => (await import('./commands/audit-list.ts')).auditTail,
  },
  {
    name: 'show',
    args: '<seq>',
    text: 'one record, hashed again, and which checkpoint covers it',
    group: 'Trust',
    options: [rawLines],
    more: `The hash is worked out here from the line, and so is its place in the tree of the newest
checkpoint. The names of the signatures are as the checkpoint has them: that they are by the keys
you trust is checked by orchestra audit verify and orchestra audit extract with --key.

Exit codes: 0 as it says; 4 where hash or proof do not come out the same.`,
    load: async () => (await import('./commands/audit-show.ts')).auditShow,
  },
  {
    name: 'stats',
    text: 'how many records by type, outcome, severity, actor and day',
    group: 'Trust',
    options: [
      { flags: '--since <time>', text: 'not before: 2h ago, 2026-11-20, or a time with its zone' },
      { flags: '--until <time>', text: 'not after; a day counts to its end, in UTC' },
    ],
    more: `Counts whole days in UTC, from the index. Where the index counts another number of records
than the log holds, it says so and ends with 4.`,
    load: async () => (await import('./commands/audit-stats.ts')).auditStats,
  },
  {
    name: 'extract',
    args: '<run>',
    first: 'run',
    text: 'every record of a run with its proof, to be checked elsewhere',
    group: 'Trust',
    options: [
      {
        flags: '-o, --out <file>',
        text: 'a folder, or FILE.tar (default: RUN-extract)',
        values: 'file',
      },
      {
        flags: '--key <key>',
        text: 'the key of the log that you trust (default: as remembered here)',
      },
      { flags: '--strict', text: 'incomplete counts as broken' },
    ],
    more: `Writes manifest.json, records.jsonl (the exact lines), proofs.jsonl (that each is in the log),
checkpoint (the signed state of the log, with what witnesses signed) and epochs.jsonl (how its keys
were made known), and checks them here before anything is said of them. That a run was extracted is
on record (log.extracted) before the first byte leaves the daemon. No record of another run is in it.

An open run is extracted as it is: sound but incomplete. Whoever gets the bundle checks it with
  orchestra audit verify DIR --key KEY
or with nothing but Python, see docs/AUDIT.md. A key that is only found inside proves nothing.

Exit codes: 0 verified, or sound but incomplete without --strict; 4 broken; 1 not to be checked.`,
    load: async () => (await import('./commands/audit-extract.ts')).auditExtract,
  },
  {
    name: 'prove',
    args: '<seq>',
    text: 'that a record is in the signed log, as a C2SP tlog-proof',
    group: 'Trust',
    options: [
      {
        flags: '-o, --out <file>',
        text: 'write it there, and the line to FILE.record',
        values: 'file',
      },
    ],
    more: `The proof is worked out here before it is given. Whose signature the checkpoint in it carries is
checked by whoever gets it, with a key from elsewhere.`,
    load: async () => (await import('./commands/audit-prove.ts')).auditProve,
  },
  {
    name: 'witnesses',
    text: 'who else holds how much of the log',
    group: 'Trust',
    load: async () => (await import('./commands/audit-witnesses.ts')).auditWitnesses,
  },
  {
    name: 'anchor',
    text: 'give the newest state to every anchor and witness now',
    group: 'Trust',
    load: async () => (await import('./commands/audit-witnesses.ts')).auditAnchor,
  },
  {
    name: 'checkpoint',
    text: 'the newest signed state of the log',
    group: 'Trust',
    options: [{ flags: '-o, --out <file>', text: 'write it there', values: 'file' }],
    more: `A C2SP checkpoint: the name of the log, how many records it has, the root of the tree over them,
and signatures. Kept where the log cannot be reached from, it shows any later change of what it
covers. Give it to orchestra audit verify, to a witness, or to a colleague.`,
    load: async () => (await import('./commands/audit-keys.ts')).auditCheckpoint,
  },
  {
    name: 'keys',
    text: 'who signs the log',
    group: 'Trust',
    load: async () => (await import('./commands/audit-keys.ts')).auditKeys,
    children: [
      {
        name: 'list',
        text: 'the keys that sign the log and that did before',
        group: 'Trust',
        more: `The key of epoch 0 is what everything later can be traced back to, so write it down where the log
cannot be reached from, and give it to orchestra audit verify with --key.`,
        load: async () => (await import('./commands/audit-keys.ts')).auditKeys,
      },
      {
        name: 'rotate',
        text: 'a new key signs from now on, the old one is destroyed',
        group: 'Trust',
        load: async () => (await import('./commands/audit-keys.ts')).auditKeysRotate,
      },
    ],
  },
  {
    name: 'verify',
    args: '[path]',
    text: 'check the whole log by the daemon; or here a copy, an extract or a proof at PATH',
    group: 'Trust',
    options: [
      { flags: '--key <vkeys>', text: 'with PATH: keys of the log, known from elsewhere' },
      {
        flags: '--checkpoint <file>',
        text: 'with PATH: a checkpoint kept elsewhere',
        values: 'file',
      },
      {
        flags: '--witnesses <file>',
        text: 'with PATH: a policy that says which witnesses count',
        values: 'file',
      },
      { flags: '--record <file>', text: 'with a .tlog-proof: its record', values: 'file' },
      { flags: '--head <size:hash>', text: 'with PATH: what the log must at least hold' },
      { flags: '--strict', text: 'incomplete counts as broken' },
      { flags: '--accept-new-log', text: 'the log at this socket was replaced on purpose' },
    ],
    load: async () => (await import('./commands/audit-verify.ts')).auditVerify,
  },
  {
    name: 'tiles',
    args: '<dir>',
    text: 'the whole signed log as files for a web server',
    group: 'Trust',
    more: `Writes the layout of C2SP tlog-tiles: checkpoint, tile/… with the tree, tile/entries/… with the
records. Every hash in it is worked out here before it is called done. Anybody who can fetch these
files can follow the log, without the daemon. That they were read is on record.`,
    load: async () => (await import('./commands/audit-tiles.ts')).auditTiles,
  },
  {
    name: 'acknowledge-loss',
    text: 'records of the log are gone for good: say so on record, and go on',
    group: 'Care',
    options: [{ flags: '--reason <text>', text: 'why they are gone; it is on record' }],
    more: `For a log that orchestrad refuses to open (audit.rolled_back), once no copy of it can be found.
It runs on the state directory of an orchestrad that is stopped. Every later verification tells of the
loss. The key that signed what is gone never signs again: a new one does, and what the old one had
signed last is on record. A signer that runs by itself has to be told by its own --give-up.`,
    load: async () => (await import('./commands/audit-loss.ts')).auditAcknowledgeLoss,
  },
  {
    name: 'coverage',
    text: 'every type of record, and the test that makes a daemon emit it',
    group: 'Trust',
    load: async () => (await import('./commands/audit-coverage.ts')).auditCoverage,
  },
  {
    name: 'evidence',
    text: 'counts, lists and proofs of a time for whoever examines it, signed',
    group: 'Trust',
    options: [
      { flags: '--from <time>', text: 'from this day or time on' },
      { flags: '--to <time>', text: 'up to this day or time (default: now)' },
      { flags: '-o, --out <path>', text: 'a folder, or FILE.tar', values: 'file' },
    ],
    load: async () => (await import('./commands/audit-evidence.ts')).auditEvidence,
  },
  {
    name: 'prune',
    text: 'let the oldest part of the log go, by a signed record that says so',
    group: 'Care',
    options: [
      { flags: '-n, --dry-run', text: 'only say what would go' },
      {
        flags: '--keep <days>',
        text: 'keep so many days, such as 400d (default: audit.keep_days)',
      },
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
  {
    name: 'export',
    text: 'records by filter as JSONL, CSV, syslog, CEF or OCSF; that it was asked is recorded',
    group: 'Trust',
    options: [
      {
        flags: '--format <format>',
        text: 'jsonl (default), csv, syslog, cef or ocsf',
        values: ['jsonl', 'csv', 'syslog', 'cef', 'ocsf'],
      },
      ...filter,
      { flags: '--from <seq>', text: 'from this sequence number on' },
      { flags: '--to <seq>', text: 'up to, not including, this sequence number' },
      { flags: '--enterprise <n>', text: 'with syslog: your number for fields of its own' },
      { flags: '-o, --out <file>', text: 'write it there; - is stdout', values: 'file' },
    ],
    more: `JSONL is the exact lines, after a first line that says which and before a last one with
their number and SHA-256; both are checked here, and a file is there whole or not at all. The other
formats cannot be verified. Without -o it goes to stdout, never to a terminal.

Exit codes: 0 all of it; 4 what came is not what was sent; 5 the connection broke.

Examples:
  orchestra audit export -o log.jsonl
  orchestra audit export --format csv --run @last -o run.csv
  orchestra audit export --format ocsf --severity warn --since 24h | gzip > day.ocsf.gz`,
    load: async () => (await import('./commands/audit-export.ts')).auditExport,
  },
  {
    name: 'forwarders',
    text: 'where records go on their own, and what still waits',
    group: 'Trust',
    load: async () => (await import('./commands/audit-forwarders.ts')).auditForwarders,
  },
  {
    name: 'subjects',
    text: 'whom the subjects of the log stand for; that it was asked is recorded',
    group: 'Trust',
    load: async () => (await import('./commands/audit-vault.ts')).auditSubjects,
  },
  {
    name: 'disclose',
    args: '<seq>',
    text: 'the words behind the commitment in a record, with the salt to check them',
    group: 'Trust',
    options: [
      { flags: '-o, --out <file>', text: 'write it there', values: 'file' },
      { flags: '--reason <text>', text: 'goes into the log' },
    ],
    load: async () => (await import('./commands/audit-vault.ts')).auditDisclose,
  },
  {
    name: 'erase',
    args: '<subject>',
    text: 'destroy the key of a subject: its words and name are gone, every hash still holds',
    group: 'Trust',
    options: [
      { flags: '--reason <text>', text: 'goes into the log' },
      { flags: '-y, --yes', text: 'do not ask' },
    ],
    load: async () => (await import('./commands/audit-vault.ts')).auditErase,
  },
];
