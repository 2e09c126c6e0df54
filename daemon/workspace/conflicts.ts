import { OrchestraError } from '#contract/errors.ts';
import { type ByteString, bytesOfText, textOfBytes } from '#contract/path-bytes.ts';
import type { LayerEntry } from '#contract/snapshot.ts';
import type { AncestorLayer } from './operations.ts';
import { sameEntry } from './tree.ts';

type Touch = { index: number; entry: LayerEntry };
type Layer = { entries: readonly LayerEntry[] };

const placesMax = 50;

/**
 * Two ancestors that did not wait for one another must not have changed a path differently: which
 * of them should win? Nobody can say, so it is an error and nothing is decided in silence.
 */
export function refuseConflicts(
  ancestors: readonly AncestorLayer[],
  layers: readonly Layer[],
): void {
  const unordered = unorderedPairs(ancestors);
  if (unordered === undefined) return;
  const touches = touchesOf(layers);
  const clashes = new Map<ByteString, [number, number]>();
  for (const [path, here] of touches) {
    for (const mine of here) {
      for (const other of here) {
        if (mine.index < other.index && unordered(mine.index, other.index)) {
          if (!compatible(mine.entry, other.entry)) clashes.set(path, [mine.index, other.index]);
        }
      }
      const hider = hiddenBy(path, mine, touches, unordered);
      if (hider !== undefined) clashes.set(path, [hider, mine.index]);
    }
    if (clashes.size >= placesMax) break;
  }
  if (clashes.size === 0) return;
  const name = (index: number): string => ancestors[index]?.taskId ?? '';
  const places = [...clashes].map(([path, [a, b]]) => ({
    pointer: textOfBytes(path),
    message: `changed differently by ${name(a)} and ${name(b)}`,
  }));
  const first = places[0];
  throw new OrchestraError(
    'workspace.conflict',
    `Tasks that ran side by side changed ${places.length === 1 ? 'a path' : `${places.length} paths`} differently: ${first?.pointer ?? ''} was ${first?.message ?? ''}`,
    {
      places,
      hint: 'let one of them wait for the other (deps), or let them write to different paths',
    },
  );
}

/** `undefined` when all of them are in one line, which is the usual case. */
function unorderedPairs(
  ancestors: readonly AncestorLayer[],
): ((a: number, b: number) => boolean) | undefined {
  const isLine = ancestors.every(
    ({ deps }, i) => i === 0 || deps.includes(ancestors[i - 1]?.taskId ?? ''),
  );
  if (isLine) return undefined;
  const index = new Map(ancestors.map(({ taskId }, i) => [taskId, i]));
  // Of each, a row of bits for those before it: sets would take seconds for some thousand ancestors.
  const rows: Uint32Array[] = [];
  for (const [i, { deps }] of ancestors.entries()) {
    const row = new Uint32Array((i >>> 5) + 1);
    for (const dep of deps) {
      const at = index.get(dep) ?? i;
      if (at >= i) continue;
      const theirs = rows[at] ?? new Uint32Array();
      for (let w = 0; w < theirs.length; w += 1) row[w] = (row[w] ?? 0) | (theirs[w] ?? 0);
      row[at >>> 5] = (row[at >>> 5] ?? 0) | (1 << (at & 31));
    }
    rows.push(row);
  }
  const waited = (late: number, early: number): boolean =>
    ((rows[late]?.[early >>> 5] ?? 0) & (1 << (early & 31))) !== 0;
  return (a, b) => a !== b && !waited(a, b) && !waited(b, a);
}

function touchesOf(layers: readonly Layer[]): Map<ByteString, Touch[]> {
  const touches = new Map<ByteString, Touch[]>();
  for (const [index, layer] of layers.entries()) {
    for (const entry of layer.entries) {
      const path = bytesOfText(entry.path);
      const here = touches.get(path);
      if (here === undefined) touches.set(path, [{ index, entry }]);
      else here.push({ index, entry });
    }
  }
  return touches;
}

/** Directories merge; whether one of them also hides what was below is asked path by path. */
function compatible(a: LayerEntry, b: LayerEntry): boolean {
  return (a.type === 'dir' && b.type === 'dir') || sameEntry(a, b);
}

/** The unordered ancestor that deleted or replaced a directory in which this entry is. */
function hiddenBy(
  path: ByteString,
  mine: Touch,
  touches: ReadonlyMap<ByteString, readonly Touch[]>,
  unordered: (a: number, b: number) => boolean,
): number | undefined {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    for (const other of touches.get(path.slice(0, at)) ?? []) {
      if (!unordered(mine.index, other.index)) continue;
      if (other.entry.type === 'dir' && other.entry.opaque !== true) continue;
      const same = touches.get(path)?.find((touch) => touch.index === other.index);
      if (same === undefined || !compatible(same.entry, mine.entry)) return other.index;
    }
  }
  return undefined;
}
