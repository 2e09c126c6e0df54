/**
 * Whether a caller asks for a type by its name, and for nothing else sooner. Wildcards do not count:
 * whoever does not know the type gets what the route answers by default.
 */
export function prefers(accept: string | undefined, type: string): boolean {
  // A header has at most 16 KiB.
  const ranges = (accept ?? '').toLowerCase().split(',').map(rangeOf);
  const wanted = ranges.find((range) => range.type === type)?.quality ?? 0;
  return wanted > 0 && ranges.every((range) => range.quality <= wanted);
}

function rangeOf(text: string): { type: string; quality: number } {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim());
  const named = parameters.find((parameter) => parameter.startsWith('q='));
  const quality = named === undefined ? 1 : Number(named.slice(2));
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 };
}
