import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { type ByteString, bytesOfText, staysInside } from '#contract/path-bytes.ts';
import type { Change, ChangeSet } from '#contract/snapshot.ts';
import { type Plan, planOf, standing } from './compare.ts';
import { Folder } from './folder.ts';
import { IgnoreRules } from './ignore-rules.ts';

export type ApplyOptions = {
  workspace: string;
  changes: ChangeSet;
  /** Content by digest, from the daemon. It is hashed here again. */
  blob: (digest: string) => Promise<AsyncIterable<Uint8Array>>;
  /** Only say what would happen. */
  check?: boolean;
  /** Also what the workspace's ignore rules name, such as build outputs. */
  withIgnored?: boolean;
};

export type Applied = {
  /** Written or deleted, or with `check` what would be. */
  applied: Change[];
  /** As the run left them before anything was done. */
  already: Change[];
  leftOut: { path: string; reason: string }[];
};

/**
 * Writes what a run did into the user's directory. Either every path is as it was in the snapshot
 * (or as the run left it), or it throws `workspace.conflict` and nothing is written at all.
 *
 * A sandbox wrote these changes, so they are not trusted: nothing goes into `.git` (its hooks run
 * on the next commit), no link may lead out, none is followed, and each file appears complete or not.
 * What the workspace's ignore rules name was never in the snapshot and is left out too, unless it is
 * asked for.
 */
export async function applyChanges(options: ApplyOptions): Promise<Applied> {
  const { workspace, changes } = options;
  const result: Applied = { applied: [], already: [], leftOut: [] };
  using root = Folder.root(workspace);
  const wanted = select(workspace, changes.items, result.leftOut, options.withIgnored === true);
  const plan = planOf(wanted);
  sort(root, wanted, plan, result);
  if (options.check === true || result.applied.length === 0) return result;
  await write(root, plan, result, options);
  return result;
}

/** Throws when a path is no longer as the run found it. */
function sort(root: Folder, wanted: readonly Change[], plan: Plan, result: Applied): void {
  const conflicts: { file: string; message: string }[] = [];
  for (const change of wanted) {
    const state = standing(root, change, plan);
    if (state === 'to do') result.applied.push(change);
    else if (state === 'done already') result.already.push(change);
    else conflicts.push({ file: change.path, message: state.conflict });
  }
  if (conflicts.length === 0) return;
  throw new OrchestraError(
    'workspace.conflict',
    `${conflicts.length} of ${wanted.length} paths are no longer as the run found them; nothing was written`,
    {
      places: conflicts.slice(0, 100),
      hint: 'run again on what is there now, or put these paths back',
    },
  );
}

function select(
  workspace: string,
  changes: readonly Change[],
  leftOut: Applied['leftOut'],
  withIgnored: boolean,
): Change[] {
  const ignored = withIgnored ? () => false : ignoredIn(workspace);
  return changes.filter((change) => {
    const path = bytesOfText(change.path);
    const { after } = change;
    const reason = path.split('/').some((part) => part.toLowerCase() === '.git')
      ? 'inside .git'
      : ignored(path, (after ?? change.before)?.type === 'dir')
        ? 'ignored here'
        : after?.type === 'symlink' && !staysInside(path, bytesOfText(after.target))
          ? 'link leads out'
          : undefined;
    if (reason !== undefined) leftOut.push({ path: change.path, reason });
    return reason === undefined;
  });
}

/** The workspace's own rules; what a run changed in ignore files counts from the next time on. */
function ignoredIn(workspace: string): (path: ByteString, isDirectory: boolean) => boolean {
  const text = (bytes: ByteString): string => Buffer.from(bytes, 'latin1').toString('utf8');
  const names = (directory: string): string[] => {
    try {
      return fs.readdirSync(directory);
    } catch {
      return [];
    }
  };
  const known = new Map<ByteString, IgnoreRules | 'ignored'>();
  known.set('', IgnoreRules.atRoot(workspace, names(workspace)));
  const rulesIn = (directory: ByteString): IgnoreRules | 'ignored' => {
    const found = known.get(directory);
    if (found !== undefined) return found;
    const above = rulesIn(directory.slice(0, Math.max(0, directory.lastIndexOf('/'))));
    const rules =
      above === 'ignored' || above.ignores(text(directory), true)
        ? 'ignored'
        : above.inside(workspace, text(directory), names(join(workspace, text(directory))));
    known.set(directory, rules);
    return rules;
  };
  return (path, isDirectory) => {
    const rules = rulesIn(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    return rules === 'ignored' || rules.ignores(text(path), isDirectory);
  };
}

async function write(
  root: Folder,
  plan: Plan,
  result: Applied,
  { blob }: ApplyOptions,
): Promise<void> {
  const staging = `.orchestra-apply-${randomBytes(6).toString('hex')}`;
  fs.mkdirSync(root.at(staging), { mode: 0o700 });
  try {
    using stage = root.down([staging]);
    if (stage === undefined) throw new Error('the staging directory is gone');
    const todo = result.applied.map((change, i) => ({ change, staged: String(i) }));
    for (const { change, staged } of todo) await prepare(stage, staged, change, blob);
    // The content took its time to come; from here on nothing waits any more.
    result.applied = [];
    sort(
      root,
      todo.map(({ change }) => change),
      plan,
      result,
    );
    const kept = removeAll(root, result.applied);
    result.applied = result.applied.filter((change) => !kept.has(change));
    for (const { path } of kept)
      result.leftOut.push({ path, reason: 'directory is not empty here' });
    for (const { change, staged } of todo) put(root, stage, staged, change);
  } finally {
    fs.rmSync(root.at(staging), { recursive: true, force: true });
  }
}

/** Deletions, and what has to make room for something of another kind; the deepest first. */
function removeAll(root: Folder, changes: readonly Change[]): Set<Change> {
  const kept = new Set<Change>();
  for (const change of changes.toReversed()) {
    const { before, after } = change;
    if (before !== undefined && before.type !== after?.type && !remove(root, change)) {
      kept.add(change);
    }
  }
  return kept;
}

async function prepare(
  stage: Folder,
  name: string,
  { after, path }: Change,
  blob: ApplyOptions['blob'],
): Promise<void> {
  if (after?.type === 'symlink') {
    fs.symlinkSync(Buffer.from(bytesOfText(after.target), 'latin1'), stage.at(name));
  }
  if (after?.type !== 'file') return;
  const fd = fs.openSync(stage.at(name), 'wx', after.executable ? 0o777 : 0o666);
  try {
    const hasher = createHash('sha256');
    let bytes = 0;
    for await (const chunk of await blob(after.digest)) {
      bytes += chunk.length;
      if (bytes > after.bytes) break;
      hasher.update(chunk);
      for (let at = 0; at < chunk.length;) at += fs.writeSync(fd, chunk, at);
    }
    if (bytes !== after.bytes || `sha256:${hasher.digest('hex')}` !== after.digest) {
      throw new OrchestraError(
        'blob.damaged',
        `The content of ${path} came damaged; nothing was written`,
      );
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** False when a directory holds something that is not the run's to delete. */
function remove(root: Folder, { path, before }: Change): boolean {
  const parts = bytesOfText(path).split('/');
  const name = parts.pop() ?? '';
  using folder = root.down(parts);
  if (folder === undefined) return true;
  try {
    if (before?.type === 'dir') fs.rmdirSync(folder.at(name));
    else fs.unlinkSync(folder.at(name));
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw cause;
  }
}

function put(root: Folder, stage: Folder, staged: string, { path, after }: Change): void {
  if (after === undefined) return;
  const parts = bytesOfText(path).split('/');
  const name = parts.pop() ?? '';
  using folder = root.down(parts);
  if (folder === undefined)
    throw new OrchestraError('workspace.conflict', `The directory of ${path} is gone`);
  if (after.type === 'dir') {
    if (folder.lstat(name) === undefined) fs.mkdirSync(folder.at(name));
  } else fs.renameSync(stage.at(staged), folder.at(name));
}
