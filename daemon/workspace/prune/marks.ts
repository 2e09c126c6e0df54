import * as fs from 'node:fs';
import { join } from 'node:path';
import type { RunRoots } from './request.ts';

const digestBytes = 32;

/**
 * What runs keep, by the hex digits of its digest. A digest keeps whatever it is the digest of: a
 * snapshot, a layer or a blob; a snapshot and a directory among the artifacts keep the files that
 * their manifests name as well.
 */
export class Marks {
  readonly #stateDir: string;
  readonly #kept = new Set<string>();
  readonly #snapshots: ReadonlySet<string>;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#snapshots = new Set(namesIn(join(stateDir, 'snapshots')));
  }

  has(hex: string): boolean {
    return this.#kept.has(hex);
  }

  isSnapshot(hex: string): boolean {
    return this.#snapshots.has(hex);
  }

  /** `isNew` is told each digest that no run before kept. */
  add({ digests, folders }: RunRoots, isNew: (hex: string) => void = () => {}): void {
    const mark = (hex: string): boolean => {
      if (this.#kept.has(hex)) return false;
      this.#kept.add(hex);
      isNew(hex);
      return true;
    };
    for (const hex of hexOf(digests)) {
      if (!mark(hex) || !this.#snapshots.has(hex)) continue;
      for (const file of filesIn(join(this.#stateDir, 'snapshots', hex, 'manifest.json'))) {
        mark(file);
      }
    }
    for (const hex of hexOf(folders)) {
      mark(hex);
      const manifest = join(this.#stateDir, 'blobs', hex.slice(0, 2), hex);
      for (const file of filesIn(manifest)) mark(file);
    }
  }
}

export function namesIn(dir: string): string[] {
  try {
    return fs.readdirSync(dir);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw cause;
  }
}

function* hexOf(digests: Uint8Array): Generator<string, void> {
  const { buffer, byteOffset } = digests;
  for (let at = 0; at + digestBytes <= digests.length; at += digestBytes) {
    yield Buffer.from(buffer, byteOffset + at, digestBytes).toString('hex');
  }
}

/**
 * The digests of the files that a manifest names. One that is damaged or gone names none that
 * anybody could reach.
 */
function filesIn(path: string): string[] {
  let manifest: unknown;
  try {
    manifest = JSON.parse(fs.readFileSync(path, 'utf8'));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (cause instanceof SyntaxError || code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw cause;
  }
  const entries = Array.isArray(manifest)
    ? manifest
    : (manifest as { entries?: unknown } | null)?.entries;
  if (!Array.isArray(entries)) return [];
  return (entries as ({ digest?: unknown } | null)[]).flatMap((entry) => {
    const digest = entry?.digest;
    return typeof digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(digest)
      ? [digest.slice('sha256:'.length)]
      : [];
  });
}
