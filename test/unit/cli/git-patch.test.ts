import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import fc from 'fast-check';
import { gitPatch, type Side } from '#cli/patch/git-patch.ts';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

type Tree = Record<string, Side>;

function write(dir: string, tree: Tree): void {
  for (const [name, { mode, content }] of Object.entries(tree)) {
    const place = join(dir, name);
    mkdirSync(dirname(place), { recursive: true });
    if (mode === '120000') symlinkSync(content.toString(), place);
    else writeFileSync(place, content);
    if (mode === '100755') chmodSync(place, 0o755);
  }
}

function read(dir: string): Tree {
  const tree: Tree = {};
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
    const place = join(dir, name);
    const stat = lstatSync(place);
    if (stat.isSymbolicLink()) {
      tree[name] = { mode: '120000', content: Buffer.from(readlinkSync(place)) };
    } else if (stat.isFile()) {
      const mode = (stat.mode & 0o111) === 0 ? '100644' : '100755';
      tree[name] = { mode, content: readFileSync(place) };
    }
  }
  return tree;
}

/** What git makes of `before` with our patch. */
function patched(before: Tree, after: Tree): Tree {
  const dir = mkdtempSync(join(tmpdir(), 'orc-patch-'));
  dirs.push(dir);
  write(dir, before);
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  const patch = names
    .map((name) => gitPatch(Buffer.from(name).toString('latin1'), before[name], after[name]))
    .join('');
  if (patch !== '') {
    const env = { ...process.env, GIT_CEILING_DIRECTORIES: dirname(dir) };
    execFileSync('git', ['apply', '-'], { cwd: dir, input: patch, stdio: 'pipe', env });
  }
  return read(dir);
}

const text = (words: string): Side => ({ mode: '100644', content: Buffer.from(words) });
const program = (words: string): Side => ({ ...text(words), mode: '100755' });
const link = (to: string): Side => ({ mode: '120000', content: Buffer.from(to) });
const binary = (bytes: number[]): Side => ({ mode: '100644', content: Buffer.from(bytes) });

test.each<[string, Tree, Tree]>([
  ['a line that changed', { 'a.txt': text('a\nb\nc\n') }, { 'a.txt': text('a\nB\nc\n') }],
  ['a last line without an end', { a: text('a\nb') }, { a: text('a\nb\nc') }],
  ['a file that is new, deep down', {}, { 'x/y/z.txt': text('new\n') }],
  ['a file that is gone', { a: text('a\n'), b: text('b\n') }, { b: text('b\n') }],
  ['an empty file that is new', {}, { empty: text('') }],
  ['an empty file that is gone', { empty: text('') }, {}],
  ['a program that is one now', { run: text('#!/bin/sh\n') }, { run: program('#!/bin/sh\n') }],
  ['a program with another text', { run: program('1\n') }, { run: text('2\n') }],
  ['bytes that are no text', { a: binary([0, 1, 2]) }, { a: binary([0, 255, 254, 0, 9]) }],
  ['new bytes', {}, { a: binary([...Array(1000).keys()].map((n) => n % 256)) }],
  ['a text that is bytes now', { a: text('a\n') }, { a: binary([0]) }],
  ['a link that leads elsewhere', { l: link('a') }, { l: link('b/c') }],
  ['a file that is a link now', { a: text('a\n') }, { a: link('b') }],
  ['a link that is a program now', { a: link('b') }, { a: program('x\n') }],
  ['names that need quotes', {}, { 'a "b"\\c\nd\te ü': text('x\n') }],
  ['a text with returns', { a: text('a\r\nb\r\n') }, { a: text('a\r\nc\r\n') }],
])('git makes of it what the run made: %s', (_, before, after) => {
  expect(patched(before, after)).toEqual(after);
});

test('whatever bytes a file has, git reads them back', () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
    fc
      .array(fc.constantFrom('a', 'b', '', '@@ -1 +1 @@', '--- a/x', '\\ No newline'), {
        maxLength: 12,
      })
      .map((lines) => Buffer.from(lines.join('\n'))),
  );
  fc.assert(
    fc.property(content, content, (old, now) => {
      const before: Tree = { f: { mode: '100644', content: old } };
      const after: Tree = { f: { mode: '100644', content: now } };
      expect(patched(before, after)).toEqual(after);
    }),
    { numRuns: 40 },
  );
});

test('nothing is said of what stayed as it was', () => {
  expect(gitPatch('a', text('a'), text('a'))).toBe('');
});
