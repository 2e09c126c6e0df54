/**
 * Whether a text without a backslash can be nothing but the canonical spelling of the value that it
 * was parsed to; false where that would have to be looked at. It compares lengths, and so saves
 * writing most records once more: without a backslash every string stands there as it is, white
 * space or a key that comes twice only make a text longer, and so does every other spelling of an
 * integer, but for multiples of 100 (1e2), which are therefore left to the caller.
 *
 * The value has to be canonical otherwise: `whyNotCanonical`.
 */
export function isSpelledShortest(value: unknown, text: string): boolean {
  return !text.includes('\\') && lengthOf(value) === text.length;
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value === 'number') return lengthOfNumber(value);
  if (typeof value === 'boolean') return value ? 4 : 5;
  let length = 1;
  if (Array.isArray(value)) {
    for (const item of value) length += lengthOf(item) + 1;
  } else {
    const object = value as Record<string, unknown>;
    for (const key in object) length += key.length + lengthOf(object[key]) + 4;
  }
  // Both brackets and a comma between two; one that is empty has no comma too many.
  return Math.max(length, 2);
}

function lengthOfNumber(value: number): number {
  if (value !== 0 && value % 100 === 0) return NaN;
  const digits = Math.abs(value);
  let length = value < 0 ? 2 : 1;
  // Powers of ten up to this are exact; dividing would not be.
  for (let limit = 10; digits >= limit; limit *= 10) length += 1;
  return length;
}
