import { lstat, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export type SegmentFile = { first: number; name: string; path: string; bytes: number };
export type SegmentList = {
  segments: SegmentFile[];
  /** Names in the folder that are no segments. */
  strays: string[];
  /** A single file was named: what lies before and after it is not looked at. */
  single: boolean;
};

const namePattern = /^(\d{16})\.jsonl$/;

export function segmentName(first: number): string {
  return `${String(first).padStart(16, '0')}.jsonl`;
}

/** The folder of segments of a log's folder, or of a folder that holds nothing but copied segments. */
export async function listSegments(path: string): Promise<SegmentList> {
  if ((await lstat(path)).isFile()) {
    const name = basename(path);
    const { size } = await lstat(path);
    const first = Number(namePattern.exec(name)?.[1] ?? -1);
    return {
      segments: [{ first, name, path: join(dirname(path), name), bytes: size }],
      strays: [],
      single: true,
    };
  }
  const names = await readdir(path);
  const folder = names.includes('segments') ? join(path, 'segments') : path;
  return listFolder(folder, folder === path ? names : await readdir(folder), folder !== path);
}

async function listFolder(folder: string, names: string[], own: boolean): Promise<SegmentList> {
  const segments: SegmentFile[] = [];
  const strays: string[] = [];
  for (const name of names.toSorted()) {
    const match = namePattern.exec(name);
    const file = match === null ? undefined : await lstat(join(folder, name));
    if (match === null || file?.isFile() !== true) {
      if (own) strays.push(name);
      continue;
    }
    segments.push({ first: Number(match[1]), name, path: join(folder, name), bytes: file.size });
  }
  return { segments, strays, single: false };
}
