import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Actor } from '#contract/records.ts';
import { openLog } from '#daemon/audit/log.ts';
import { SecondVerifier } from '#test/support/audit-fuzz.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { verifyPath } from '#verifier/verify-path.ts';

const caller: Actor = {
  kind: 'user',
  auth: 'token',
  uid: 1000,
  gid: 1000,
  roles: ['auditor', 'runner'],
  groups: [1000, 27],
  token: 'tok_1',
};
const asked = { keys: [], checkpoints: [] };
const nothing = { policy: undefined, expect: undefined, record: undefined };

/** What both say of a log whose last line is `spell` of what the daemon wrote. */
async function judged(spell: (line: string) => string) {
  await using dir = await tempDir();
  const log = await openLog({ dir: dir.path, version: '0', origin: 'test' });
  await log.append({ type: 'auth.succeeded', actor: caller, data: { method: 'token' } });
  await log.close();
  const path = join(dir.path, 'segments', '0000000000000000.jsonl');
  const lines = (await readFile(path, 'utf8')).split('\n');
  const last = lines.findLastIndex((line) => line.includes('auth.succeeded'));
  await writeFile(
    path,
    lines
      .slice(0, last)
      .map((line) => `${line}\n`)
      .join(''),
  );
  await appendFile(path, `${spell(lines[last] ?? '')}\n`);
  await using python = new SecondVerifier();
  const ours = await verifyPath(dir.path, asked);
  const { exit, reason } = await python.verify(dir.path, { ...asked, ...nothing });
  return { ours: [ours.exit, ours.reason ?? null], theirs: [exit, reason ?? null] };
}

test('the record of a caller with roles, groups and a token is one to both verifiers', async () => {
  const { ours, theirs } = await judged((line) => line);
  expect(theirs).toEqual(ours);
  expect(ours[0]).not.toBe(1);
});

test.each([
  ['a role that is a number', '"roles":["auditor","runner"]', '"roles":["auditor",1]'],
  ['nine roles', '"roles":["auditor","runner"]', `"roles":${JSON.stringify(Array(9).fill('x'))}`],
  ['roles that are no list', '"roles":["auditor","runner"]', '"roles":"admin"'],
  ['a group that is a name', '"groups":[1000,27]', '"groups":["sudo"]'],
  ['a group below zero', '"groups":[1000,27]', '"groups":[-1]'],
  ['a long token', '"token":"tok_1"', `"token":"${'t'.repeat(65)}"`],
  ['another proof', '"auth":"token"', '"auth":"word"'],
])('%s is no record to either of them', async (_what, right, wrong) => {
  const { ours, theirs } = await judged((line) => {
    expect(line).toContain(right);
    return line.replace(right, wrong);
  });
  expect(ours[0]).toBe(1);
  expect(theirs).toEqual(ours);
});
