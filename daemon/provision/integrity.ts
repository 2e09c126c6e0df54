/** Base64 digits without padding of each hash, strongest first. */
const algorithms = [
  ['sha512', 86],
  ['sha384', 64],
  ['sha256', 43],
  ['sha1', 27],
] as const;

/**
 * The strongest hash of an integrity string, alone, as npm itself would pick it; `undefined` where
 * there is none, or where two different ones of that kind would let either content through.
 */
export function strongestHash(integrity: string): string | undefined {
  const hashes = integrity.split(/\s+/).map((hash) => hash.replace(/\?.*$/, ''));
  for (const [algorithm, digits] of algorithms) {
    const found = new Set(hashes.filter((hash) => hash.startsWith(`${algorithm}-`)));
    if (found.size === 0) continue;
    const [hash] = found;
    const spelling = new RegExp(`^${algorithm}-[A-Za-z0-9+/]{${digits}}={0,2}$`);
    return found.size === 1 && hash !== undefined && spelling.test(hash) ? hash : undefined;
  }
  return undefined;
}
