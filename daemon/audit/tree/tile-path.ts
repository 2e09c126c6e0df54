/** Hashes in a full tile, and how many levels of the tree each one spans: C2SP tlog-tiles. */
export const tileWidth = 256;
export const tileHeight = 8;

/**
 * Where a tile lies: `tile/<level>/<index>`, the index in groups of three digits. `width` is that
 * of a partial tile; a full one has none.
 */
export function tilePath(level: number | 'entries', index: number, width?: number): string {
  const partial = width === undefined || width === tileWidth ? '' : `.p/${width}`;
  return `tile/${level}/${indexPath(index)}${partial}`;
}

function indexPath(index: number): string {
  let path = digits(index % 1000);
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${digits(rest % 1000)}/${path}`;
  }
  return path;
}

function digits(value: number): string {
  return String(value).padStart(3, '0');
}
