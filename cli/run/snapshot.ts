import { stat } from 'node:fs/promises';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { SnapshotAnswer } from '#contract/snapshot.ts';
import { formatSize } from '#contract/units.ts';
import { defaultPaths } from '#setup/paths.ts';
import type { Client } from '../client/client.ts';
import type { Context } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { memoName, takeSnapshot, type SnapshotTransport } from '../workspace/upload.ts';

const namedMax = 10;

/** Makes the daemon hold what the workspace holds, says what was left out, answers its digest. */
export async function snapshotWorkspace(
  context: Context,
  client: Client,
  workspace: string,
): Promise<string> {
  const info = await stat(workspace).catch(() => undefined);
  if (info?.isDirectory() !== true) {
    throw new OrchestraError('workspace.invalid', `The workspace ${workspace} is not a directory`, {
      hint: 'name one with --workspace',
    });
  }
  const { cacheDir } = defaultPaths(context.env, process.getuid?.() ?? -1);
  const late = setTimeout(() => context.print.note('taking a snapshot of the workspace'), 1000);
  try {
    const taken = await takeSnapshot({
      workspace,
      memoFile: path.join(cacheDir, memoName(workspace)),
      transport: transportOf(client),
    });
    const how = taken.uploaded ? 'sent' : 'unchanged';
    context.print.detail(
      `snapshot ${taken.digest}: ${taken.files} files, ${formatSize(taken.bytes)}, ${how}`,
    );
    for (const { path: name, reason } of taken.leftOut.slice(0, namedMax)) {
      context.print.note(`left out of the snapshot: ${safe(name)} (${reason})`);
    }
    const more = taken.leftOut.length - namedMax;
    if (more > 0) context.print.note(`left out of the snapshot: ${more} more`);
    return taken.digest;
  } finally {
    clearTimeout(late);
  }
}

export function transportOf(client: Client): SnapshotTransport {
  return {
    find: async (digest) => {
      try {
        return await client.call('snapshotFind', { params: { digest } });
      } catch (error) {
        if (error instanceof OrchestraError && error.code === 'snapshot.unknown') return undefined;
        throw error;
      }
    },
    missing: async (digests) =>
      (await client.call('snapshotMissing', { body: { digests } })).missing,
    upload: async (body) => SnapshotAnswer.parse(await client.upload('snapshotPut', body)),
  };
}
