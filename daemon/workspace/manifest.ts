import { hash } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { LayerEntry, TreeEntry } from '#contract/snapshot.ts';
import { layerForm, treeForm } from '#contract/tree-form.ts';
import { layerLink, snapshotDir } from './places.ts';

/** What `l/<id>/layer.json` holds. */
export type LayerManifest = { digest: Digest; entries: LayerEntry[]; bytes: number };

export function treeDigest(entries: Iterable<TreeEntry>): Digest {
  return `sha256:${hash('sha256', Buffer.from(treeForm(entries), 'latin1'), 'hex')}`;
}

export function layerDigest(entries: Iterable<LayerEntry>): Digest {
  return `sha256:${hash('sha256', Buffer.from(layerForm(entries), 'latin1'), 'hex')}`;
}

/** The entries of a snapshot, checked against its digest. */
export function readManifest(stateDir: string, digest: Digest): TreeEntry[] {
  const text = read(join(snapshotDir(stateDir, digest), 'manifest.json'));
  if (text === undefined) {
    throw new OrchestraError('snapshot.unknown', `There is no snapshot ${digest}`);
  }
  const entries = parse(text, digest) as TreeEntry[];
  if (!Array.isArray(entries) || treeDigest(entries) !== digest) throw damaged(digest);
  return entries;
}

/** A sealed layer, checked against its digest, and the directory it is in. */
export function readLayer(
  stateDir: string,
  digest: Digest,
): LayerManifest & { id: string; upper: string } {
  const link = layerLink(stateDir, digest);
  const text = read(join(link, 'layer.json'));
  if (text === undefined)
    throw new OrchestraError('snapshot.unknown', `There is no layer ${digest}`);
  const manifest = parse(text, digest) as LayerManifest;
  if (!Array.isArray(manifest.entries) || layerDigest(manifest.entries) !== digest) {
    throw damaged(digest);
  }
  const id = basename(fs.readlinkSync(link));
  return { ...manifest, id, upper: join(stateDir, 'l', id, 'u') };
}

function parse(text: string, digest: Digest): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw damaged(digest, cause);
  }
}

function damaged(digest: Digest, cause?: unknown): OrchestraError {
  return new OrchestraError('blob.damaged', `The manifest of ${digest} is not what it was`, {
    cause,
  });
}

function read(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}
