import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { ByteString } from '#contract/path-bytes.ts';
import { unifiedDiff } from '../terminal/unified-diff.ts';
import { base85Lines } from './base85.ts';

/** A file or a link as git has it; the content of a link is where it leads. */
export type Side = { mode: '100644' | '100755' | '120000'; content: Buffer };

const textBytesMax = 1024 * 1024;
const noBlob = '0'.repeat(40);

/**
 * One changed path as `git apply` takes it (git-diff(1), "Generating patch text with -p"): text as
 * hunks, everything else as a binary literal, with modes. What became a link, or was one, goes and
 * comes anew. Nothing where both sides are the same. `path` is bytes, relative.
 */
export function gitPatch(
  path: ByteString,
  before: Side | undefined,
  after: Side | undefined,
): string {
  if (before && after && isLink(before) !== isLink(after)) {
    return section(path, before, undefined) + section(path, undefined, after);
  }
  return section(path, before, after);
}

function section(path: ByteString, before: Side | undefined, after: Side | undefined): string {
  const isSame = before?.content.equals(after?.content ?? Buffer.alloc(0)) === true;
  if (before && after && isSame && before.mode === after.mode) return '';
  const [a, b] = [quoted(`a/${path}`), quoted(`b/${path}`)];
  const lines = [`diff --git ${a} ${b}`];
  if (before === undefined) lines.push(`new file mode ${after?.mode ?? ''}`);
  else if (after === undefined) lines.push(`deleted file mode ${before.mode}`);
  else if (before.mode !== after.mode) {
    lines.push(`old mode ${before.mode}`, `new mode ${after.mode}`);
  }
  if (before === undefined || after === undefined || !isSame) {
    const mode = before && after && before.mode === after.mode ? ` ${after.mode}` : '';
    lines.push(`index ${blobId(before)}..${blobId(after)}${mode}`);
    lines.push(...contentLines([a, b], before, after));
  }
  return `${lines.join('\n')}\n`;
}

function contentLines(
  [a, b]: [string, string],
  before: Side | undefined,
  after: Side | undefined,
): string[] {
  if (!isText(before) || !isText(after)) {
    return ['GIT binary patch', ...literal(after), '', ...literal(before), ''];
  }
  const hunks = unifiedDiff(textOf(before), textOf(after));
  // An empty file has no hunk and needs none.
  if (hunks.length === 0) return [];
  return [
    `--- ${before === undefined ? '/dev/null' : a}`,
    `+++ ${after === undefined ? '/dev/null' : b}`,
    ...hunks,
  ];
}

function literal(side: Side | undefined): string[] {
  const content = side?.content ?? Buffer.alloc(0);
  return [`literal ${content.length}`, ...base85Lines(deflateSync(content))];
}

function isLink(side: Side): boolean {
  return side.mode === '120000';
}

function isText(side: Side | undefined): boolean {
  if (side === undefined) return true;
  const { content } = side;
  return content.length <= textBytesMax && isUtf8(content) && !content.includes(0);
}

function textOf(side: Side | undefined): string {
  return side?.content.toString('utf8') ?? '';
}

/** Git's name of the content: a binary patch is refused without both of them, whole. */
function blobId(side: Side | undefined): string {
  if (side === undefined) return noBlob;
  return createHash('sha1')
    .update(`blob ${side.content.length}\0`)
    .update(side.content)
    .digest('hex');
}

/** As git writes names that a patch could not hold otherwise (core.quotePath). */
function quoted(name: ByteString): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is quoted
  if (/^[\x20-\x7e]*$/.test(name) && !/["\\]/.test(name)) return name;
  const bytes = [...Buffer.from(name, 'latin1')].map((byte) => {
    if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte);
    return `\\${byte.toString(8).padStart(3, '0')}`;
  });
  return `"${bytes.join('')}"`;
}
