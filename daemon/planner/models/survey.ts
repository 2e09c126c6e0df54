import type { ProfileEntry } from '../profile.ts';

/** Counts of what lies in a workspace: names and sizes, never what is in a file. */
export type Survey = {
  files: number;
  bytes: number;
  /** By ending of the name, most files first. */
  endings: { ending: string; files: number; bytes: number }[];
  /** Directories at the top, most files first. */
  folders: { path: string; files: number; bytes: number }[];
};

const endingsMax = 24;
const foldersMax = 40;

/** The order of the entries makes no difference. */
export function surveyOf(entries: Iterable<ProfileEntry>): Survey {
  const endings = new Map<string, { files: number; bytes: number }>();
  const folders = new Map<string, { files: number; bytes: number }>();
  const all = { files: 0, bytes: 0 };
  for (const { path, type, size } of entries) {
    if (type !== 'file') continue;
    count(all, size);
    const slash = path.indexOf('/');
    if (slash > 0) count(at(folders, path.slice(0, slash)), size);
    const ending = /\.[A-Za-z0-9_+-]{1,12}$/.exec(path)?.[0].toLowerCase();
    if (ending !== undefined) count(at(endings, ending), size);
  }
  return {
    ...all,
    endings: mostFiles(endings, endingsMax).map(([ending, sums]) => ({ ending, ...sums })),
    folders: mostFiles(folders, foldersMax)
      .filter(([path]) => path.isWellFormed())
      .map(([path, sums]) => ({ path, ...sums })),
  };
}

type Sums = { files: number; bytes: number };

function at(map: Map<string, Sums>, name: string): Sums {
  const found = map.get(name) ?? { files: 0, bytes: 0 };
  map.set(name, found);
  return found;
}

function count(sums: Sums, bytes: number): void {
  sums.files += 1;
  sums.bytes += bytes;
}

function mostFiles(map: ReadonlyMap<string, Sums>, max: number): [string, Sums][] {
  return [...map]
    .sort(([a, x], [b, y]) => y.files - x.files || y.bytes - x.bytes || (a < b ? -1 : 1))
    .slice(0, max);
}
