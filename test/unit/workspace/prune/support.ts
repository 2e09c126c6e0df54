import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import type { RunRoots } from '#daemon/workspace/prune/request.ts';
import type { StoreWork } from '#daemon/workspace/prune/store.ts';
import type { Workspace } from '#daemon/workspace/open.ts';
import { frames } from '#test/support/orchestra.ts';

export type Files = Readonly<Record<string, string>>;

/** What one run left, as its records would name it. */
export type Left = {
  run: string;
  snapshot: Digest;
  layers: Digest[];
  blobs: Digest[];
  folders: Digest[];
};

const hexOf = (digest: Digest) => digest.slice('sha256:'.length);
const inARow = (digests: readonly Digest[]) =>
  new Uint8Array(Buffer.concat(digests.map((digest) => Buffer.from(hexOf(digest), 'hex'))));

export function rootsOf({ run, snapshot, layers, blobs, folders }: Left): RunRoots {
  return { run, digests: inARow([snapshot, ...layers, ...blobs]), folders: inARow(folders) };
}

/** As if an hour had gone by since everything that is there was used. */
export function workFor(kept: readonly Left[], more: Partial<StoreWork> = {}): StoreWork {
  const later = Date.now() + 3_600_000;
  const runs = kept.map(rootsOf);
  return { runs, now: later, graceMs: 1_000, openSince: later, packagesSince: later, ...more };
}

/** A run with a snapshot, a layer for each further set of files, and content of its own. */
export async function leave(
  workspace: Workspace,
  run: string,
  given: { files: Files; layers?: Files[]; blobs?: string[]; folders?: Files[] },
): Promise<Left> {
  const { snapshots, blobs } = workspace;
  const put = async (text: string) =>
    (await blobs.put(Buffer.from(text), { maxBytes: 1 << 20 })).digest;
  const { digest: snapshot } = await snapshots.ingest(frames(given.files));
  const left: Left = { run, snapshot, layers: [], blobs: [], folders: [] };
  for (const files of given.layers ?? []) {
    left.layers.push(await sealed(workspace, snapshot, files));
  }
  for (const text of given.blobs ?? []) left.blobs.push(await put(text));
  for (const files of given.folders ?? []) {
    const entries = [];
    for (const [path, text] of Object.entries(files)) {
      const bytes = Buffer.byteLength(text);
      entries.push({ type: 'file', path, executable: false, bytes, digest: await put(text) });
    }
    left.folders.push(await put(JSON.stringify({ v: 1, entries })));
  }
  return left;
}

export async function sealed(workspace: Workspace, snapshot: Digest, files: Files) {
  const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(join(prepared.upper, name), text);
  }
  return (await workspace.layers.seal(prepared)).digest;
}

/** Everything that somebody could reach from a run, read to its last byte; throws where it is not. */
export async function readAll(workspace: Workspace, left: Left): Promise<void> {
  const { snapshots, layers, blobs } = workspace;
  const read = (digest: Digest) => blobs.read(digest, { maxBytes: 1 << 20 });
  for (const entry of await snapshots.entries(left.snapshot)) {
    if (entry.type !== 'file') continue;
    const content = await snapshots.readFile(left.snapshot, entry.path, 1 << 20);
    if (content?.length !== entry.bytes) throw new Error(`${entry.path} is not there`);
  }
  const { items } = await layers.changes(left.snapshot, left.layers);
  for (const { after } of items) if (after?.type === 'file') await read(after.digest);
  for (const digest of left.blobs) await read(digest);
  for (const folder of left.folders) {
    const manifest = JSON.parse((await read(folder)).toString('utf8')) as {
      entries: { digest: Digest }[];
    };
    for (const { digest } of manifest.entries) await read(digest);
  }
}

/** What is in the store, by name; nothing of `tmp`. */
export function namesIn(stateDir: string): string[] {
  return ['snapshots', 'layers', 'l', 'flat', 'blobs'].flatMap((room) => {
    const dir = join(stateDir, room);
    if (!fs.existsSync(dir)) return [];
    const deep = room === 'blobs';
    return fs
      .readdirSync(dir, { recursive: deep, encoding: 'utf8' })
      .filter((name) => !deep || /^[0-9a-f]{2}\/[0-9a-f]{64}/.test(name))
      .map((name) => `${room}/${name}`);
  });
}
