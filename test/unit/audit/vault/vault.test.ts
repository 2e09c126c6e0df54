import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import type { SubjectId } from '#contract/ids.ts';
import type { Actor, AnyRecord } from '#contract/records.ts';
import type { AnyEntry, Log } from '#daemon/audit/types.ts';
import { disclose } from '#daemon/audit/vault/disclose.ts';
import { Erasures, erasedWords, missingWords, Vault } from '#daemon/audit/vault/vault.ts';
import { commitmentOf } from '#verifier/commitment.ts';

const ada: Actor = { kind: 'user', auth: 'peer', uid: 1000 };
const eve: Actor = { kind: 'user', auth: 'peer', uid: 1001 };
const secret = 'mail the invoice to ada@example.org';
let stateDir: string;
let vault: Vault;
let held: string | undefined;
/** What of the log matters here: what is appended, and whether it dies before that. */
let entries: AnyEntry[];
let dies: (entry: AnyEntry) => boolean;
let erasures: Erasures;

const log = {
  origin: 'here',
  append: (given: AnyEntry) => {
    const entry: AnyEntry = { outcome: 'ok', ...given };
    if (dies(entry)) return Promise.reject(new OrchestraError('audit.unavailable', 'gone'));
    entries.push(entry);
    erasures.fold(entry as unknown as AnyRecord);
    return Promise.resolve(entry);
  },
} as unknown as Pick<Log, 'append' | 'origin'>;

/** As a daemon does that starts: the folds from the log, then the vault. */
async function start(): Promise<void> {
  erasures = new Erasures();
  for (const entry of entries) erasures.fold(entry as unknown as AnyRecord);
  const nameOf = (uid: number) => Promise.resolve(uid === 1000 ? 'lovelace' : undefined);
  vault = await Vault.open({ stateDir, erasures, nameOf, heldBy: () => held }, log);
}

async function restart(): Promise<void> {
  await vault.close();
  await start();
}

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'orchestra-vault-'));
  entries = [];
  dies = () => false;
  held = undefined;
  await start();
});
afterEach(async () => {
  await vault.close();
  await rm(stateDir, { recursive: true, force: true });
});

const filesBelow = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name));
const valuesOf = (subject: string) => join(stateDir, 'vault', subject, 'values.jsonl');
const keyOf = (subject: string) => join(stateDir, 'keys', 'vault', `${subject}.key`);

describe('what the vault holds is not told', () => {
  test('by its files: neither words, nor names, nor who shares a value with whom', async () => {
    const first = await vault.keep(ada, secret);
    const second = await vault.keep(ada, secret);
    expect(first.commitment).not.toBe(second.commitment);
    const everything = filesBelow(stateDir).map((file) => readFileSync(file, 'latin1'));
    for (const words of [secret, 'lovelace', 'uid:1000']) {
      expect(everything.filter((text) => text.includes(words))).toEqual([]);
    }
    expect(filesBelow(stateDir).map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600]);
  });

  test('where an entry was moved to another commitment or another subject, or changed', async () => {
    const [one, two] = [await vault.keep(ada, 'one'), await vault.keep(ada, 'two')];
    const other = await vault.keep(eve, 'other');
    const lines = readFileSync(valuesOf(one.subject), 'utf8').split('\n');
    const swapped = lines
      .map((line) => line.replace(one.commitment, 'x').replace(two.commitment, one.commitment))
      .map((line) => line.replace('"c":"x"', `"c":"${two.commitment}"`));
    writeFileSync(valuesOf(one.subject), swapped.join('\n'));
    appendFileSync(valuesOf(other.subject), `${lines[1] ?? ''}\n`);
    await restart();
    await expect(vault.words(one)).resolves.toBe(missingWords);
    await expect(vault.words(two)).resolves.toBe(missingWords);
    await expect(vault.words({ ...one, subject: other.subject })).resolves.toBe(missingWords);
    await expect(vault.words(other)).resolves.toBe('other');
  });

  test('where the key of its subject is not a file of ours any more', async () => {
    const kept = await vault.keep(ada, secret);
    execFileSync('chmod', ['644', keyOf(kept.subject)]);
    await restart();
    await expect(vault.words(kept)).resolves.toBe(missingWords);
    const again = await vault.keep(ada, secret);
    expect(again.subject).not.toBe(kept.subject);
  });

  test('to whom asks for a record that commits to nothing', async () => {
    const record = { seq: 3, data: { reason: 'x' } } as unknown as AnyRecord;
    await expect(disclose({ log, vault }, record, { actor: ada })).rejects.toMatchObject({
      code: 'data.unknown',
    });
    expect(entries).toEqual([]);
  });

  test('to whom asks while that cannot be recorded', async () => {
    const record = await committed(secret);
    dies = () => true;
    await expect(disclose({ log, vault }, record, { actor: ada })).rejects.toMatchObject({
      code: 'audit.unavailable',
    });
  });
});

async function committed(text: string): Promise<AnyRecord> {
  const { commitment, subject } = await vault.keep(ada, text);
  return { seq: 7, data: { intent_commitment: commitment, subject } } as unknown as AnyRecord;
}

test('after a disk that failed nothing is kept any more, also once it answers again', async () => {
  const { subject } = await vault.keep(ada, 'before');
  await restart();
  renameSync(valuesOf(subject), `${valuesOf(subject)}.aside`);
  mkdirSync(valuesOf(subject));
  const code = 'audit.unavailable';
  await expect(vault.keep(ada, 'lost')).rejects.toMatchObject({ code });
  rmdirSync(valuesOf(subject));
  renameSync(`${valuesOf(subject)}.aside`, valuesOf(subject));
  await expect(vault.keep(ada, 'lost too')).rejects.toMatchObject({ code });
  await restart();
  const after = await vault.keep(ada, 'after');
  await expect(vault.words(after)).resolves.toBe('after');
});

describe('nothing is erased', () => {
  test('while somebody holds the log', async () => {
    const kept = await vault.keep(ada, secret);
    held = 'case-7';
    await expect(erase(kept.subject)).rejects.toMatchObject({ code: 'data.held' });
    await expect(vault.words(kept)).resolves.toBe(secret);
    expect(entries).toEqual([]);
  });

  test('of a subject that there is not', async () => {
    await expect(erase('subj_0000000000000000')).rejects.toMatchObject({ code: 'data.unknown' });
    await expect(erase('../keys')).rejects.toMatchObject({ code: 'data.unknown' });
  });

  test('before it is on record that it will be', async () => {
    const kept = await vault.keep(ada, secret);
    dies = ({ stage }) => stage === 'intent';
    await expect(erase(kept.subject)).rejects.toThrow();
    expect(existsSync(keyOf(kept.subject))).toBe(true);
    await restart();
    await expect(vault.words(kept)).resolves.toBe(secret);
  });
});

const erase = (reference: string) => vault.erase(reference, 'asked for it', { log, actor: eve });

test('what was erased cannot be read again, by nobody and after no restart; others are untouched', async () => {
  const [kept, other] = [await vault.keep(ada, secret), await vault.keep(eve, 'mine')];
  const copy = readFileSync(valuesOf(kept.subject));
  await expect(erase('lovelace')).resolves.toBe(kept.subject);
  expect(existsSync(keyOf(kept.subject))).toBe(false);
  expect(existsSync(join(stateDir, 'vault', kept.subject))).toBe(false);
  for (const again of [() => Promise.resolve(), restart]) {
    await again();
    await expect(vault.words(kept)).resolves.toBe(erasedWords);
    expect(vault.nameOf(kept.subject)).toBe(erasedWords);
    await expect(vault.words(other)).resolves.toBe('mine');
  }
  // A copy of the values that was kept elsewhere says nothing without the key.
  execFileSync('mkdir', [join(stateDir, 'vault', kept.subject)]);
  writeFileSync(valuesOf(kept.subject), copy);
  await restart();
  await expect(vault.words(kept)).resolves.toBe(erasedWords);
  expect(entries.map(({ type, stage, outcome }) => [type, stage, outcome])).toEqual([
    ['data.erased', 'intent', 'ok'],
    ['data.erased', 'result', 'ok'],
  ]);
});

test('an erasure that a daemon died in is done at the next start', async () => {
  const kept = await vault.keep(ada, secret);
  dies = ({ stage }) => stage === 'result';
  await expect(erase(kept.subject)).rejects.toThrow();
  dies = () => false;
  // As if it had died before the key was gone.
  writeFileSync(keyOf(kept.subject), Buffer.alloc(32), { mode: 0o600 });
  await restart();
  expect(existsSync(keyOf(kept.subject))).toBe(false);
  expect(erasures.unfinished()).toEqual([]);
  await restart();
  expect(entries.map(({ stage }) => stage)).toEqual(['intent', 'result']);
});

test('whoever was erased and comes again is somebody else', async () => {
  const before = (await vault.actor(ada)).name;
  await erase(before ?? '');
  const [first, second] = await Promise.all([vault.actor(ada), vault.actor(ada)]);
  expect(first.name).not.toBe(before);
  expect(second.name).toBe(first.name);
  expect((await vault.actor({ ...ada, name: before })).name).toBe(first.name);
});

test('a caller keeps his subject, across restarts and however many come at once', async () => {
  const all = await Promise.all([1, 2, 3].map(() => vault.actor(ada)));
  const names = new Set(all.map(({ name }) => name));
  expect(names.size).toBe(1);
  await restart();
  expect(await vault.actor(ada)).toEqual(all[0]);
  expect(all[0]).toEqual({ ...ada, name: expect.stringMatching(/^subj_[0-9a-f]{16}$/) as string });
  expect(vault.nameOf(all[0]?.name ?? '')).toBe('lovelace');
  expect(vault.nameOf((await vault.actor(eve)).name ?? '')).toBe('uid:1001');
  const daemon: Actor = { kind: 'daemon', auth: 'self' };
  expect(await vault.actor(daemon)).toBe(daemon);
});

test('values are found again, also behind a line that a crash tore', async () => {
  const many = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => vault.keep(ada, `value ${i} ü`)),
  );
  const subject = many[0]?.subject as SubjectId;
  await vault.close();
  appendFileSync(valuesOf(subject), '{"c":"torn');
  await start();
  const last = await vault.keep(ada, 'behind it');
  await restart();
  await expect(vault.words(last)).resolves.toBe('behind it');
  const words = await Promise.all(many.map((each) => vault.words(each)));
  expect(words).toEqual(many.map((_, i) => `value ${i} ü`));
});

test('what only pruned records had is swept once, and nothing else', async () => {
  const [old, kept] = [await vault.keep(ada, 'old'), await vault.keep(ada, 'kept')];
  const other = await vault.keep(eve, 'older');
  let asked = 0;
  const stillSaid = () => {
    asked += 1;
    return new Set([kept.commitment]);
  };
  await vault.sweep(stillSaid);
  expect(asked).toBe(0);
  entries.push({ type: 'log.pruned', data: { to_seq: 90 } } as unknown as AnyEntry);
  for (const _again of [1, 2]) {
    await restart();
    await vault.sweep(stillSaid);
  }
  expect(asked).toBe(1);
  await expect(vault.words(old)).resolves.toBe(missingWords);
  await expect(vault.words(other)).resolves.toBe(missingWords);
  await expect(vault.words(kept)).resolves.toBe('kept');
  expect((await vault.actor(eve)).name).toBe(other.subject);
  const after = await vault.keep(ada, 'after');
  await restart();
  await expect(vault.words(after)).resolves.toBe('after');
  await expect(vault.words(kept)).resolves.toBe('kept');
});

test('what is disclosed can be checked against the record without us, and that it was is on record', async () => {
  const record = await committed(secret);
  const told = await disclose({ log, vault }, record, { actor: eve, reason: 'case 7' });
  expect(told).toMatchObject({ seq: 7, field: 'intent', value: secret, origin: 'here' });
  expect(told.commitment).toBe((record.data as { intent_commitment: string }).intent_commitment);
  expect(commitmentOf(Buffer.from(told.salt, 'hex'), told.value)).toBe(told.commitment);
  expect(entries).toMatchObject([
    { type: 'data.disclosed', actor: eve, data: { of: 7, field: 'intent', reason: 'case 7' } },
  ]);
  const file = join(stateDir, 'told.json');
  writeFileSync(file, JSON.stringify(told));
  const guide = readFileSync(join(import.meta.dirname, '../../../../docs/AUDIT.md'), 'utf8');
  const script =
    /python3 - told\.json <<'EOF'\n([\s\S]*?)\n\s*EOF/
      .exec(guide)?.[1]
      ?.replaceAll(/^ {4}/gm, '') ?? '';
  expect(execFileSync('python3', ['-', file], { input: script, encoding: 'utf8' })).toBe('True\n');
  writeFileSync(file, JSON.stringify({ ...told, value: `${secret}!` }));
  expect(execFileSync('python3', ['-', file], { input: script, encoding: 'utf8' })).toBe('False\n');
});
