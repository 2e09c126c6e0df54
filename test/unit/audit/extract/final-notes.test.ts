import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { notesOfSizes } from '#daemon/audit/extract/final-notes.ts';
import { parseSignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { tempDir } from '../fixture.ts';

const root = Buffer.alloc(32, 1).toString('base64');
const line = (name: string) => `\u2014 ${name} ${Buffer.alloc(68, 1).toString('base64')}\n`;
const note = (size: number, ...names: string[]) =>
  `log-1\n${size}\n${root}\n\n${names.map(line).join('')}`;

async function found(text: string, ...sizes: number[]): Promise<Map<number, string>> {
  await using dir = await tempDir();
  await writeFile(join(dir.path, 'checkpoints.log'), text);
  return await notesOfSizes(dir.path, new Set(sizes));
}

test('of several notes of one size the last counts, which has most signatures', async () => {
  const text = [note(5, 'log-1'), note(9, 'log-1'), note(5, 'log-1', 'w1'), note(12, 'log-1')];
  const notes = await found(text.map((each) => `${each}\n`).join(''), 5, 12, 13);
  expect([...notes.keys()]).toEqual([5, 12]);
  expect(notes.get(5)).toBe(note(5, 'log-1', 'w1'));
  expect(parseSignedCheckpoint(notes.get(5) ?? '')?.note.signatures).toHaveLength(2);
});

test('what a crash left of the last note is no note, and takes none with it', async () => {
  const text = `${note(5, 'log-1')}\n${note(9, 'log-1').slice(0, 70)}`;
  expect([...(await found(text, 5, 9)).keys()]).toEqual([5]);
});

test('something that is no note and has no end takes no memory', async () => {
  const text = `${'x'.repeat(100)}\n`.repeat(5_000);
  expect((await found(`${text}\n\n${note(5, 'log-1')}\n`, 5)).size).toBeLessThanOrEqual(1);
});
