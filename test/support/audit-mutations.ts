import { hash } from 'node:crypto';
import { leafHash } from '#verifier/tlog/merkle.ts';
import { SignedLog, type Signer } from './signed-log.ts';

export type Files = Map<string, Buffer>;
/** What lies on disk and what somebody brings along to check it. */
export type AuditCase = {
  name: string;
  files: Files;
  /** Where to point the verifier: '' is the folder itself. */
  target: string;
  keys: string[];
  checkpoints: Buffer[];
  policy: Buffer | undefined;
  expect: string | undefined;
  record: Buffer | undefined;
};

/** Numbers that are the same for the same seed. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return n <= 0 ? 0 : ((t ^ (t >>> 14)) >>> 0) % n;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  chance(one: number): boolean {
    return this.below(one) === 0;
  }
}

/** The logs that everything begins with. */
export class Subjects {
  readonly small = new SignedLog({ seed: 'a' });
  readonly other = new SignedLog({ seed: 'a', runs: 4, rotateBefore: [1] });
  readonly bare = new SignedLog({ seed: 'b', bare: true });
  readonly long = new SignedLog({
    seed: 'c',
    runs: 60,
    segmentRecords: 120,
    checkpointEvery: 60,
    rotateBefore: [10, 40],
  });
  readonly pruned = new SignedLog({
    seed: 'd',
    runs: 60,
    segmentRecords: 70,
    checkpointEvery: 50,
    rotateBefore: [10, 40],
    prune: 3,
  });
}

/** A whole log, extract or proof with something done to it, and somebody who looks at it. */
export function someCase(subjects: Subjects, dice: Dice): AuditCase {
  const which = dice.below(100);
  if (which < 55) return logCase(subjects.small, subjects, dice);
  if (which < 60) return logCase(subjects.bare, subjects, dice);
  if (which < 64) return logCase(subjects.long, subjects, dice);
  if (which < 70) return logCase(subjects.pruned, subjects, dice);
  if (which < 94) return bundleCase(subjects, dice);
  return proofCase(subjects, dice);
}

function logCase(log: SignedLog, subjects: Subjects, dice: Dice): AuditCase {
  let files = log.files();
  const names: string[] = [];
  for (let n = dice.chance(20) ? 0 : 1 + dice.below(dice.chance(3) ? 3 : 1); n > 0; n -= 1) {
    const [name, change] = dice.of(logMutations);
    names.push(name);
    files = change(files, log, subjects, dice) ?? files;
  }
  if (log.first > 0 && !dice.chance(8)) {
    const front = `segments/${String(log.first).padStart(16, '0')}`;
    files = new Map([...files].filter(([name]) => !name.startsWith('segments/') || name >= front));
  }
  const trust = someTrust(log, subjects, dice);
  const segments = [...files.keys()].filter((name) => name.startsWith('segments/'));
  const target = dice.chance(25) && segments.length > 0 ? dice.of(segments) : '';
  return { name: `log: ${names.join(', ')}`, files, target, ...trust };
}

function someTrust(log: SignedLog, subjects: Subjects, dice: Dice) {
  const stranger = log.stranger().vkey;
  const known = log.epochs.map(({ signer }) => signer.vkey);
  const keys = dice.of([
    [],
    known.slice(0, 1),
    known.slice(0, 1),
    known.slice(-1),
    known,
    [stranger],
    [stranger, ...known],
  ]);
  const notes = [...log.notes, ...(dice.chance(4) ? subjects.other.notes : [])].map(
    ({ note }) => note,
  );
  const checkpoints = dice.chance(4) && notes.length > 0 ? [Buffer.from(dice.of(notes))] : [];
  const at = dice.below(log.size);
  return {
    keys: [...keys],
    checkpoints,
    policy: dice.chance(4) ? Buffer.from(log.policy) : undefined,
    expect: dice.chance(8) ? `${at + 1}:${log.lines[at]?.leaf.toString('hex')}` : undefined,
    record: undefined,
  };
}

type Mutation = (files: Files, log: SignedLog, subjects: Subjects, dice: Dice) => Files | undefined;

const logMutations: readonly [string, Mutation][] = [
  ['bytes', (files, _log, _s, dice) => touchBytes(files, dice)],
  ['bytes', (files, _log, _s, dice) => touchBytes(files, dice)],
  ['bits of a segment', (files, _log, _s, dice) => touchBytes(files, dice, 'segments/')],
  ['bits of checkpoints', (files, _log, _s, dice) => touchBytes(files, dice, 'checkpoint')],
  [
    'lines',
    (files, _log, _s, dice) =>
      onLines(files, dice, 'segments/', (lines) => shuffleLines(lines, dice)),
  ],
  [
    'lines of heads',
    (files, _log, _s, dice) => onLines(files, dice, 'heads', (lines) => shuffleLines(lines, dice)),
  ],
  [
    'another form',
    (files, _log, _s, dice) => onLines(files, dice, 'segments/', (lines) => reformed(lines, dice)),
  ],
  ['a cut', (files, _log, _s, dice) => cut(files, dice)],
  ['a file less', (files, _log, _s, dice) => without(files, dice.of([...files.keys()]))],
  ['a record and all after it', (files, log, _s, dice) => rechained(files, log, dice)],
  ['a record and all after it', (files, log, _s, dice) => rechained(files, log, dice)],
  [
    'checkpoints',
    (files, log, _s, dice) => onNotes(files, dice, (notes) => shuffleLines(notes, dice), log),
  ],
  [
    'a forged checkpoint',
    (files, log, _s, dice) => onNotes(files, dice, (notes) => [...notes, forged(log, dice)], log),
  ],
  [
    'a forged checkpoint in between',
    (files, log, _s, dice) =>
      onNotes(files, dice, (notes) => notes.with(dice.below(notes.length), forged(log, dice)), log),
  ],
  ['a fork', (files, _log, { other }, dice) => forkOf(files, other, dice)],
  ['other keys', (files, log, _s, dice) => rekeyed(files, log, dice)],
  ['an end less', (files, log, _s, dice) => shortened(files, log, dice)],
];

function touchBytes(files: Files, dice: Dice, prefix = ''): Files {
  const names = [...files.keys()].filter((name) => name.startsWith(prefix));
  if (names.length === 0) return files;
  const name = dice.of(names);
  return new Map(files).set(name, touched(files.get(name) ?? Buffer.alloc(0), dice));
}

function touched(bytes: Buffer, dice: Dice): Buffer {
  const at = dice.below(bytes.length);
  const copy = Buffer.from(bytes);
  const some = dice.of([
    0, 9, 10, 13, 32, 34, 43, 44, 45, 46, 48, 49, 58, 92, 101, 123, 128, 226, 255,
  ]);
  switch (dice.below(5)) {
    case 0:
      copy[at] = (copy[at] ?? 0) ^ (1 << dice.below(8));
      return copy;
    case 1:
      copy[at] = some;
      return copy;
    case 2:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1 + dice.below(3))]);
    case 3:
      return Buffer.concat([copy.subarray(0, at), Buffer.from([some]), copy.subarray(at)]);
    default:
      copy[at] = dice.below(256);
      return copy;
  }
}

function onLines(
  files: Files,
  dice: Dice,
  prefix: string,
  change: (lines: string[]) => string[],
): Files {
  const names = [...files.keys()].filter((name) => name.startsWith(prefix));
  if (names.length === 0) return files;
  const name = dice.of(names);
  const lines = (files.get(name) ?? Buffer.alloc(0)).toString('latin1').split('\n').slice(0, -1);
  if (lines.length === 0) return files;
  const text = change(lines)
    .map((line) => `${line}\n`)
    .join('');
  return new Map(files).set(name, Buffer.from(text, 'latin1'));
}

function shuffleLines<T>(lines: readonly T[], dice: Dice): T[] {
  const [a, b] = [dice.below(lines.length), dice.below(lines.length)];
  switch (dice.below(4)) {
    case 0:
      return lines.toSpliced(a, 1 + dice.below(2));
    case 1:
      return lines.toSpliced(b, 0, lines[a] as T);
    case 2:
      return lines.with(a, lines[b] as T).with(b, lines[a] as T);
    default:
      return lines.slice(0, a);
  }
}

function reformed(lines: string[], dice: Dice): string[] {
  const at = dice.below(lines.length);
  const line = lines[at] ?? '';
  const change: ((text: string) => string)[] = [
    (text) => text.replace(':', ': '),
    (text) => text.replace('"v":1', '"v":1.0'),
    (text) => text.replace('"v":1', '"v":1,"v":1'),
    (text) => text.replace('"type"', '"\\u0074ype"'),
    (text) => text.replace('{"actor"', '{"z":1,"actor"'),
    (text) => text.replace('}', ' }'),
    (text) => text.replace('"data":{', '"data":{"a":{"b":{"c":{"d":{"e":{"f":1}}}}},'),
    (text) => text.replace(/"seq":(\d+)/, '"seq":$1e0'),
    (text) => text.replace(/"seq":(\d+)/, '"seq":-$1'),
    (text) => text.replace('"mono":', '"mono":9007199254740992'),
    (text) => text.replace('say', '\\ud800'),
    (text) => text.replace('test', 'NaN'),
    (text) => text.replace('"test"', 'NaN'),
    (text) => text.replace('"test"', 'null'),
    (text) => text.replace('"test"', '1e999'),
    (text) => text.replace('"test"', '-0'),
    (text) => `${text}\r`,
    (text) => ` ${text}`,
    () => '[]',
    () => 'null',
    () => '"x"',
    () => '['.repeat(3_000) + ']'.repeat(3_000),
    () => `{"a":"${'x'.repeat(65_600)}"}`,
    () => '1'.repeat(5_000),
    (text) => text.replace('2026-01-01', '2026-02-30'),
    (text) => text.replace('T00:00', 'T24:00'),
  ];
  return lines.with(at, dice.of(change)(line));
}

function cut(files: Files, dice: Dice): Files {
  const name = dice.of([...files.keys()]);
  const bytes = files.get(name) ?? Buffer.alloc(0);
  return new Map(files).set(name, bytes.subarray(0, dice.below(bytes.length)));
}

function without(files: Files, name: string): Files {
  const rest = new Map(files);
  rest.delete(name);
  return rest;
}

type Json = Record<string, unknown>;

const zero = '0'.repeat(64);

/** Changes a record and does everything that needs no key: chains, counts, heads, tiles. */
function rechained(files: Files, log: SignedLog, dice: Dice): Files {
  const records = log.lines.map(({ bytes }) => JSON.parse(bytes.toString()) as Json);
  const at = dice.below(records.length);
  const edits: ((record: Json) => Json[])[] = [
    (record) => [{ ...record, data: { ...(record['data'] as Json), extra: 'x' } }],
    (record) => [{ ...record, outcome: 'failed' }],
    (record) => [
      {
        ...record,
        type: dice.of([
          'task.started',
          'run.closed',
          'log.genesis',
          'key.created',
          'log.heartbeat',
          'log.segment.opened',
          'log.segment.closed',
          'daemon.error',
          'key.rotated',
          'log.pruned',
          'log.loss.acknowledged',
          'log.carried',
        ]),
      },
    ],
    (record) => [record, { ...record, data: {}, type: 'daemon.error' }],
    () => [],
    (record) => [{ ...record, mono: dice.below(10_000_000) }],
    (record) => [
      {
        ...record,
        mono: (record['mono'] as number) + dice.below(2) * 9_000_000_000,
        boot: dice.of(['b1', 'b2']),
      },
    ],
    (record) => [
      {
        ...record,
        ts: dice.of([
          '2026-01-01T00:00:01.000Z',
          '2026-01-31T23:59:59.999Z',
          '2026-02-30T00:00:00.000Z',
        ]),
      },
    ],
    (record) => [{ ...record, data: { ...(record['data'] as Json), records: dice.below(7) } }],
    (record) => [
      {
        ...record,
        data: { ...(record['data'] as Json), epoch: dice.below(3), vkey: log.stranger().vkey },
      },
    ],
    (record) => [
      {
        ...record,
        data: { ...(record['data'] as Json), found_size: dice.below(records.length), lost: {} },
      },
    ],
    (record) => [{ ...record, run: dice.of(['r-a0', 'r-a1', 'r-zz']), rseq: 0, rprev: zero }],
    (record) => [{ ...record, actor: dice.of([{}, { auth: 'self', kind: 'x' }, [], 'me']) }],
    (record) => [
      {
        ...record,
        obj: dice.of([{ a: 1 }, { a: '\u{1f600}'.repeat(129) }, { a: '\u{1f600}'.repeat(128) }]),
      },
    ],
  ];
  const edited = records.toSpliced(at, 1, ...dice.of(edits)(records[at] ?? {}));
  return written(
    files,
    edited.map((record, seq) => ({ ...record, seq })),
    dice,
  );
}

function written(files: Files, records: readonly Json[], dice: Dice): Files {
  let prev = zero;
  let bytes = 0;
  let first = 0;
  const tips = new Map<string, { rseq: number; last: string }>();
  const next = new Map([...files].filter(([name]) => !name.startsWith('segments/')));
  let lines: Buffer[] = [];
  const isCareful = !dice.chance(4);
  const flush = () =>
    next.set(`segments/${String(first).padStart(16, '0')}.jsonl`, Buffer.concat(lines));
  const leaves: Buffer[] = [];
  for (const [seq, given] of records.entries()) {
    const record: Json = { ...given, prev };
    if (record['type'] === 'log.segment.opened' && isCareful) {
      if (lines.length > 0) flush();
      [lines, bytes, first] = [[], 0, seq];
      record['data'] = { first_seq: seq, previous: prev, previous_size: seq };
    }
    if (record['type'] === 'log.segment.closed' && isCareful) {
      record['data'] = { bytes, first_seq: first, records: seq - first + 1 };
    }
    const run = record['run'];
    if (typeof run === 'string') {
      const tip = tips.get(run) ?? { rseq: -1, last: zero };
      record['rprev'] = tip.last;
      record['rseq'] = tip.rseq + 1;
    }
    const line = Buffer.from(spell(record));
    const leaf = leafHash(line);
    prev = leaf.toString('hex');
    if (typeof run === 'string') tips.set(run, { rseq: record['rseq'] as number, last: prev });
    bytes += line.length + 1;
    lines.push(line, Buffer.from('\n'));
    leaves.push(leaf);
  }
  flush();
  if (!dice.chance(4))
    next.set('heads.jsonl', Buffer.from(`{"hash":"${prev}","size":${records.length}}\n`));
  for (let at = 0; at + 256 <= leaves.length; at += 256) {
    const name = `tile/0/${String(at / 256).padStart(3, '0')}`;
    if (files.has(name) && !dice.chance(4))
      next.set(name, Buffer.concat(leaves.slice(at, at + 256)));
  }
  return next;
}

function spell(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}

function onNotes(
  files: Files,
  dice: Dice,
  change: (notes: string[]) => string[],
  log: SignedLog,
): Files {
  if (log.notes.length === 0) return files;
  const notes = change(log.notes.map(({ note }) => note));
  const next = new Map(files).set(
    'checkpoints.log',
    Buffer.from(notes.map((note) => `${note}\n`).join('')),
  );
  if (dice.chance(2)) next.set('checkpoint', Buffer.from(notes.at(-1) ?? ''));
  return next;
}

function forged(log: SignedLog, dice: Dice): string {
  const size = dice.below(log.size + 3);
  const signers: Signer[] = [
    log.stranger(),
    ...log.epochs.map(({ signer }) => signer),
    ...log.witnesses,
  ];
  const root = dice.chance(2)
    ? log.root(Math.min(size, log.size))
    : hash('sha256', `${dice.below(9)}`, 'buffer');
  const witnesses = dice.chance(3) ? log.witnesses : [];
  const note = log.signed(size, root, dice.of(signers), witnesses);
  if (dice.chance(2)) return note;
  const text = note.split('\n');
  const at = dice.below(4);
  return text
    .with(at, dice.of(['', 'x', '7', '007', ' 7', text[2] ?? '', '\u00a0', '12345678901234567890']))
    .join('\n');
}

/** The same keys signed another history. */
function forkOf(files: Files, other: SignedLog, dice: Dice): Files {
  const theirs = other.files();
  const next = new Map(files);
  for (const name of ['checkpoints.log', 'checkpoint']) {
    const [mine, their] = [files.get(name), theirs.get(name)];
    if (mine === undefined || their === undefined) continue;
    next.set(
      name,
      dice.chance(2) ? Buffer.concat(name === 'checkpoint' ? [their] : [mine, their]) : their,
    );
  }
  if (dice.chance(3)) {
    for (const [name, bytes] of theirs) if (name.startsWith('segments/')) next.set(name, bytes);
  }
  return next;
}

/** The whole log once more, by somebody with keys of their own. */
function rekeyed(files: Files, log: SignedLog, dice: Dice): Files {
  if (log.epochs.length === 0) return files;
  const stranger = log.stranger();
  const known = new Set(log.epochs.map(({ signer }) => signer.vkey));
  const records = log.lines.map(({ bytes }) => {
    const record = JSON.parse(bytes.toString()) as Json;
    const data = record['data'] as Json;
    for (const name of ['vkey', 'previous']) {
      if (known.has(String(data[name])) && !dice.chance(3)) data[name] = stranger.vkey;
    }
    return record;
  });
  const next = written(files, records, dice);
  const leaves = [...next]
    .filter(([name]) => name.startsWith('segments/'))
    .flatMap(([, bytes]) => bytes.toString('latin1').split('\n').slice(0, -1))
    .map((line) => leafHash(Buffer.from(line, 'latin1')));
  const copy = Object.create(log) as SignedLog;
  Object.defineProperty(copy, 'lines', { value: leaves.map((leaf, seq) => ({ seq, leaf })) });
  const size = leaves.length;
  const note = log.signed(size, rootOfLeaves(leaves), stranger);
  if (dice.chance(2)) next.set('checkpoints.log', Buffer.from(`${note}\n`));
  return next.set('checkpoint', Buffer.from(note));
}

function rootOfLeaves(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 1) return leaves[0] ?? Buffer.alloc(32);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  const [left, right] = [rootOfLeaves(leaves.slice(0, k)), rootOfLeaves(leaves.slice(k))];
  return hash('sha256', Buffer.concat([Buffer.from([1]), left, right]), 'buffer');
}

/** The end is cut off, and of all that tells of it as much as somebody likes. */
function shortened(files: Files, log: SignedLog, dice: Dice): Files {
  const end = 1 + dice.below(log.size);
  const next = new Map([...files].filter(([name]) => !name.startsWith('segments/')));
  for (const { first, count } of log.segments) {
    const lines = log.lines.slice(first, Math.min(first + count, end));
    if (lines.length === 0) continue;
    const text = lines.map(({ bytes }) => `${bytes.toString()}\n`).join('');
    next.set(`segments/${String(first).padStart(16, '0')}.jsonl`, Buffer.from(text));
  }
  const last = log.lines[end - 1];
  if (dice.chance(2))
    next.set(
      'heads.jsonl',
      Buffer.from(`{"hash":"${last?.leaf.toString('hex')}","size":${end}}\n`),
    );
  const notes = log.notes.filter(({ size }) => size <= end).map(({ note }) => note);
  if (dice.chance(2) && notes.length > 0) {
    next.set('checkpoints.log', Buffer.from(notes.map((note) => `${note}\n`).join('')));
    next.set('checkpoint', Buffer.from(notes.at(-1) ?? ''));
  }
  return next;
}

function bundleCase(subjects: Subjects, dice: Dice): AuditCase {
  const log = dice.chance(4) ? subjects.long : subjects.small;
  let files = log.bundle(`r-${log === subjects.small ? 'a' : 'c'}${dice.below(3)}`);
  const names: string[] = [];
  for (let n = dice.chance(20) ? 0 : 1 + dice.below(2); n > 0; n -= 1) {
    const [name, change] = dice.of(bundleMutations);
    names.push(name);
    files = change(files, log, subjects, dice) ?? files;
  }
  if (dice.chance(2)) files = rehashed(files);
  const trust = someTrust(log, subjects, dice);
  if (!dice.chance(3)) return { name: `bundle: ${names.join(', ')}`, files, target: '', ...trust };
  let tar = tarOf(files);
  if (dice.chance(3)) tar = touched(tar, dice);
  const file: Files = new Map([['run.tar', tar]]);
  return { name: `tar: ${names.join(', ')}`, files: file, target: 'run.tar', ...trust };
}

const bundleMutations: readonly [string, Mutation][] = [
  ['bytes', (files, _log, _s, dice) => touchBytes(files, dice)],
  ['bytes', (files, _log, _s, dice) => touchBytes(files, dice)],
  ['bytes', (files, _log, _s, dice) => touchBytes(files, dice)],
  [
    'lines of records',
    (files, _log, _s, dice) =>
      onLines(files, dice, 'records', (lines) => shuffleLines(lines, dice)),
  ],
  [
    'another form',
    (files, _log, _s, dice) => onLines(files, dice, 'records', (lines) => reformed(lines, dice)),
  ],
  [
    'lines of proofs',
    (files, _log, _s, dice) => onLines(files, dice, 'proofs', (lines) => shuffleLines(lines, dice)),
  ],
  [
    'lines of both',
    (files, _log, _s, dice) => {
      const at = dice.below(5);
      const drop = (name: string, all: Files) =>
        onLines(all, dice, name, (lines) => lines.toSpliced(at, 1));
      return drop('proofs', drop('records', files));
    },
  ],
  [
    'lines of epochs',
    (files, _log, _s, dice) => onLines(files, dice, 'epochs', (lines) => shuffleLines(lines, dice)),
  ],
  ['a field', (files, _log, _s, dice) => onJson(files, dice)],
  ['a field', (files, _log, _s, dice) => onJson(files, dice)],
  [
    'a forged checkpoint',
    (files, log, _s, dice) => new Map(files).set('checkpoint', Buffer.from(forged(log, dice))),
  ],
  [
    'a checkpoint of another history',
    (files, _log, { other }, dice) =>
      new Map(files).set('checkpoint', Buffer.from(dice.of(other.notes).note)),
  ],
  ['a file less', (files, _log, _s, dice) => without(files, dice.of([...files.keys()]))],
  ['a cut', (files, _log, _s, dice) => cut(files, dice)],
];

function onJson(files: Files, dice: Dice): Files {
  const name = dice.of(['manifest.json', 'epochs.jsonl', 'proofs.jsonl']);
  const text = (files.get(name) ?? Buffer.alloc(0)).toString();
  const values = [
    'null',
    '1',
    '-1',
    '1.0',
    '1e2',
    '"x"',
    '[]',
    '{}',
    'true',
    '9007199254740993',
    'NaN',
    '"\\ud800"',
    '0',
  ];
  const found = [...text.matchAll(/("[a-z_.]+": ?)("(?:[^"\\]|\\.)*"|-?\d+|true|\[[^\]]*\])/g)];
  const match = found[dice.below(found.length)];
  if (match === undefined) return files;
  const by = `${match[1] ?? ''}${dice.of(values)}`;
  const changed = text.slice(0, match.index) + by + text.slice(match.index + match[0].length);
  return new Map(files).set(name, Buffer.from(changed));
}

function rehashed(files: Files): Files {
  let text = (files.get('manifest.json') ?? Buffer.alloc(0)).toString();
  for (const [name, bytes] of files) {
    text = text.replace(
      new RegExp(`"${name}": "[0-9a-f]{64}"`),
      `"${name}": "${hash('sha256', bytes)}"`,
    );
  }
  return files.has('manifest.json')
    ? new Map(files).set('manifest.json', Buffer.from(text))
    : files;
}

/** The plainest ustar there is. */
export function tarOf(files: Files): Buffer {
  const parts: Buffer[] = [];
  for (const [name, bytes] of files) {
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write(['0000644', '0000000', '0000000', ''].join('\0'), 100);
    head.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
    head.write('00000000000\0', 136);
    head.write('        0', 148);
    head.write('ustar\x0000', 257, 'latin1');
    const sum = head.reduce((all, byte) => all + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    parts.push(head, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

function proofCase({ small, other }: Subjects, dice: Dice): AuditCase {
  const seq = dice.below(small.size);
  let proof = small.proof(seq);
  let record = small.lines[dice.chance(6) ? dice.below(small.size) : seq]?.bytes ?? Buffer.alloc(0);
  if (dice.chance(6)) proof = other.proof(seq);
  else if (!dice.chance(8)) proof = touched(proof, dice);
  if (dice.chance(4)) record = touched(record, dice);
  if (dice.chance(2)) record = Buffer.concat([record, Buffer.from('\n')]);
  const trust = someTrust(small, { small, other } as Subjects, dice);
  const files: Files = new Map([['one.tlog-proof', proof]]);
  return { name: 'proof', files, target: 'one.tlog-proof', ...trust, record };
}
