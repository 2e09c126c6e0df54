/**
 * Names on Linux are bytes, JSON strings are Unicode. Two forms of one name:
 *
 * - `ByteString`: one character per byte (latin1). Sorting it sorts the bytes; used inside.
 * - text: what travels and what people see. The name itself where it is valid UTF-8, otherwise
 *   `/b64/` and its base64. No relative path starts with `/`, so the two cannot be mixed up; an
 *   absolute link target that happens to start with `/b64/` is written in base64 as well.
 */
export type ByteString = string;

const marker = '/b64/';
// oxlint-disable-next-line no-control-regex -- the whole of ASCII is what is meant
const ascii = /^[\0-\x7f]*$/;

/** Every byte string has exactly one text, and every text that `isPathText` accepts one byte string. */
export function textOfBytes(bytes: ByteString): string {
  if (ascii.test(bytes)) return bytes.startsWith(marker) ? marker + btoa(bytes) : bytes;
  try {
    const raw = Uint8Array.from(bytes, (c) => c.charCodeAt(0));
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return marker + btoa(bytes);
  }
}

export function bytesOfText(text: string): ByteString {
  if (text.startsWith(marker)) return atob(text.slice(marker.length));
  if (ascii.test(text)) return text;
  return Array.from(new TextEncoder().encode(text), (b) => String.fromCharCode(b)).join('');
}

/** True for the one proper text of a byte string without NUL; anything else could be an alias. */
export function isProperText(text: string): boolean {
  if (text === '' || text.includes('\0') || !text.isWellFormed()) return false;
  if (!text.startsWith(marker)) return true;
  try {
    const bytes = bytesOfText(text);
    return bytes !== '' && !bytes.includes('\0') && textOfBytes(bytes) === text;
  } catch {
    return false;
  }
}

/** True for a relative path that names something beneath its root: no empty, `.` or `..` part. */
export function isPathText(text: string): boolean {
  if (!isProperText(text)) return false;
  return bytesOfText(text)
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..');
}

/**
 * True when a link at `path` with `target` stays inside the tree by its words alone. A usability
 * rule: nothing of ours ever follows a link, so nothing's safety hangs on it.
 */
export function staysInside(path: ByteString, target: ByteString): boolean {
  if (target === '' || target.startsWith('/') || target.includes('\0')) return false;
  let depth = path.split('/').length - 1;
  for (const part of target.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '' && part !== '.') depth += 1;
    if (depth < 0) return false;
  }
  return true;
}
