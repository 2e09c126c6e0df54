import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWorkspace, type Workspace } from '#daemon/workspace/open.ts';
import { takeSnapshot, type TakenSnapshot, type SnapshotTransport } from '#cli/workspace/upload.ts';
import type { TreeLimits } from '#contract/snapshot.ts';
import { sharedThreads } from '#test/support/threads.ts';

export const sandbox = process.getuid?.() === 0 ? 1000 : (process.getuid?.() ?? 0);
export const isRoot = process.getuid?.() === 0;

/** A directory of its own that goes with the block. */
export class Scratch implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'orc-ws-'));
  #workspace: Workspace | undefined;

  path(name: string): string {
    return join(this.root, name);
  }

  async workspace(limits?: TreeLimits): Promise<Workspace> {
    this.#workspace ??= await openWorkspace({
      stateDir: this.path('state'),
      sandboxUid: sandbox,
      sandboxGid: sandbox,
      trashQuietMs: 0,
      threads: sharedThreads(),
      ...(limits === undefined ? {} : { limits }),
    });
    return this.#workspace;
  }

  async close(): Promise<void> {
    await this.#workspace?.close();
    this.#workspace = undefined;
  }

  async snapshot(directory: string): Promise<TakenSnapshot> {
    return takeSnapshot({
      workspace: directory,
      memoFile: this.path('memo'),
      transport: direct(await this.workspace()),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** The client's calls without HTTP between. */
export function direct({ snapshots }: Workspace): SnapshotTransport {
  return {
    find: (digest) => snapshots.find(digest),
    missing: (digests) => snapshots.missing(digests),
    upload: (body) => snapshots.ingest(body),
  };
}
