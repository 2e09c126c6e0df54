import * as fs from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { Beneath } from '../artifacts/beneath.ts';
import type { Place } from './operations.ts';

const Ids = z.tuple([z.int().min(0), z.int().min(0)]);
const Owners = z.array(Ids).max(16);
type Ids = z.infer<typeof Ids>;

/** What holds files that belong to the sandbox user; what they hang from is the daemon's own. */
const rooms = ['blobs', 'snapshots', 'l', 'flat'] as const;

/**
 * Gives what belongs to the sandbox user of an earlier start to the one of this start: an engine
 * that began to map its users, or ceased to, takes a task for somebody else, who could not write
 * over a file of the other. Costs a look at one small file where nothing changed. Only while nothing
 * of it is mounted. Returns how many files and directories were given away.
 */
export function giveToOwner(place: Place): number {
  const others = othersIn(place);
  if (others.length === 0) return 0;
  const { stateDir } = place;
  const { note, now } = ownerOf(place);
  // With both in it until all is done: a start that is cut off leaves some of either.
  write(note, [...others, now]);
  let given = 0;
  for (const name of rooms) {
    const path = join(stateDir, name);
    if (!fs.existsSync(path)) continue;
    using root = Beneath.open(path);
    given += giveBelow(root, others, now);
  }
  write(note, [now]);
  return given;
}

/** Whether anything has to be given away; a look at one small file, so that no thread is needed. */
export function hasOtherOwners(place: Place): boolean {
  return othersIn(place).length > 0;
}

/** Owners of before that are not the one of now; where there are none, the one of now is noted. */
function othersIn(place: Place): Ids[] {
  const { note, now } = ownerOf(place);
  const known = noted(note);
  const others = (known ?? [...firstFound(place.stateDir), now]).filter((ids) => !isSame(ids, now));
  // Only root can give files away; elsewhere sandbox and daemon are one user for good.
  if (others.length > 0 && process.getuid?.() === 0) return others;
  if (known?.length !== 1 || others.length > 0) write(note, [now]);
  return [];
}

function ownerOf({ stateDir, uid, gid }: Place): { note: string; now: Ids } {
  return { note: join(stateDir, 'owner.json'), now: [uid, gid] };
}

/** Not of what a link leads to, and whatever else belongs to somebody else stays theirs. */
function giveBelow(dir: Beneath, from: readonly Ids[], to: Ids): number {
  let given = 0;
  for (const { name, kind } of dir.entries(Number.MAX_SAFE_INTEGER)) {
    const stat = dir.lstat(name);
    if (stat === undefined) continue;
    if (kind === 'directory' && stat.isDirectory()) {
      using child = dir.dir(name);
      given += giveBelow(child, from, to);
    }
    if (!from.some((ids) => isSame(ids, [stat.uid, stat.gid]))) continue;
    fs.lchownSync(dir.at(name), ...to);
    given += 1;
  }
  return given;
}

const isSame = (one: Ids, other: Ids) => one[0] === other[0] && one[1] === other[1];

function noted(note: string): Ids[] | undefined {
  let text: string;
  try {
    text = fs.readFileSync(note, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  try {
    return Owners.parse(JSON.parse(text));
  } catch (cause) {
    throw new OrchestraError('config.invalid', 'The note of who owns the layers cannot be read', {
      hint: 'STATE/owner.json holds [[UID, GID]] of what lies in STATE/snapshots/*/tree',
      cause,
    });
  }
}

/** A state directory from before the note was kept: a snapshot says whose it is. */
function firstFound(stateDir: string): Ids[] {
  const [name] = fs.readdirSync(join(stateDir, 'snapshots'));
  if (name === undefined) return [];
  const tree = fs.lstatSync(join(stateDir, 'snapshots', name, 'tree'), { throwIfNoEntry: false });
  return tree === undefined ? [] : [[tree.uid, tree.gid]];
}

function write(note: string, owners: readonly Ids[]): void {
  const text = `${JSON.stringify(owners)}\n`;
  if (fs.existsSync(note) && fs.readFileSync(note, 'utf8') === text) return;
  fs.writeFileSync(`${note}.tmp`, text, { mode: 0o600, flush: true });
  fs.renameSync(`${note}.tmp`, note);
}
