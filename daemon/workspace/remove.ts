import * as fs from 'node:fs';
import { Beneath } from '../artifacts/beneath.ts';

const depthMax = 24;

/**
 * Removes a directory that a hostile task may have filled: no link is followed, closed modes are
 * opened, and a chain of directories deeper than any path may be long is hoisted to the top piece
 * by piece. Returns how many entries went. Removing what is not there is fine.
 */
export function removeTree(path: string): number {
  let root: Beneath;
  try {
    root = Beneath.open(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return 0;
    if (code === 'ENOTDIR' || code === 'ELOOP') {
      fs.unlinkSync(path);
      return 1;
    }
    throw cause;
  }
  const state = { removed: 0, hoisted: 0 };
  try {
    // Each round empties the top; what it hoisted is the next round's work.
    let before: number;
    do {
      before = state.hoisted;
      empty(root, root, 0, state);
    } while (state.hoisted > before);
  } finally {
    root[Symbol.dispose]();
  }
  fs.rmdirSync(path);
  return state.removed + 1;
}

type State = { removed: number; hoisted: number };

function empty(root: Beneath, dir: Beneath, depth: number, state: State): void {
  open(dir);
  for (const name of dir.list(Number.MAX_SAFE_INTEGER)) {
    const stat = dir.lstat(name);
    if (stat === undefined) continue;
    if (!stat.isDirectory()) fs.unlinkSync(dir.at(name));
    else if (depth >= depthMax) {
      state.hoisted += 1;
      fs.renameSync(dir.at(name), root.at(`.hoisted-${state.hoisted}-${process.pid}`));
      continue;
    } else if (!emptied(dir, name)) {
      if ((stat.mode & 0o700) !== 0o700) fs.chmodSync(dir.at(name), 0o700);
      using child = dir.dir(name);
      empty(root, child, depth + 1, state);
      fs.rmdirSync(dir.at(name));
    }
    state.removed += 1;
  }
}

/** An empty directory goes without being opened, which may be all we are allowed. */
function emptied(dir: Beneath, name: string): boolean {
  try {
    fs.rmdirSync(dir.at(name));
    return true;
  } catch {
    return false;
  }
}

function open(dir: Beneath): void {
  if ((fs.fstatSync(dir.fd).mode & 0o700) !== 0o700) fs.fchmodSync(dir.fd, 0o700);
}
