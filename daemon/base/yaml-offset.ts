/**
 * Where a character of a text stands in the YAML that the text was written as: plain, in quotes or as
 * a block. The two are followed side by side; white space that YAML folds or takes away, quotes and
 * the marks of escapes are passed over. `start` and `end` are those of the scalar in the source.
 */
export function offsetInSource(
  source: string,
  { start, end }: { start: number; end: number },
  value: string,
  offset: number,
): number {
  let at = beginning(source, start);
  for (let i = 0; i < value.length && at < end; i += 1) {
    at = next(source, at, end, value.charAt(i));
    if (i === offset) return at;
    at += 1;
  }
  return Math.min(at, Math.max(start, end - 1));
}

// A block begins on the line behind its mark, and its mark may have a comment.
function beginning(source: string, start: number): number {
  const first = source.charAt(start);
  if (first === '"' || first === "'") return start + 1;
  if (first !== '|' && first !== '>') return start;
  const line = source.indexOf('\n', start);
  return line === -1 ? start : line + 1;
}

function next(source: string, from: number, end: number, wanted: string): number {
  const isSpace = /\s/.test(wanted);
  let at = from;
  while (at < end) {
    const found = source.charAt(at);
    if (found === wanted || (isSpace && /\s/.test(found))) return at;
    // An escape that is spelled otherwise than what it stands for: the mark is near enough.
    if (!/[\s\\'"]/.test(found)) return at;
    at += 1;
  }
  return from;
}
