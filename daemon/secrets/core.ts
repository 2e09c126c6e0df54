const whitespace = new Set([0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]);

/**
 * A value without white space around it: what programs really pass on. A file that an editor wrote
 * ends with a line feed, and nobody prints that with the token.
 */
export function coreOf(value: Uint8Array): Uint8Array {
  let [start, end] = [0, value.length];
  while (start < end && whitespace.has(value[start] ?? 0)) start += 1;
  while (end > start && whitespace.has(value[end - 1] ?? 0)) end -= 1;
  return value.subarray(start, end);
}

/** Line breaks do not count when output is compared with a value: tools wrap what they encode. */
export function withoutBreaks(bytes: Uint8Array): Uint8Array {
  return bytes.filter((byte) => byte !== 0x0a && byte !== 0x0d);
}
