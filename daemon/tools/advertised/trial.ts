/** More programs than this are not tried for one plan. */
export const trialsMax = 64;

/** Each of them is ended after so many seconds, where the image has `timeout`. */
const secondsEach = 5;

/**
 * What runs in a sandbox of an image to find out whether programs of it can be started there: each
 * once, with `--version`, nothing to read, and what it says thrown away. Prints `t N CODE` lines, N
 * counting the paths as they were given.
 */
export function trialScript(paths: readonly string[]): string {
  return [
    'LC_ALL=C; export LC_ALL',
    `limit=; timeout 1 true 2>/dev/null && limit="timeout ${secondsEach}"`,
    ...paths
      .slice(0, trialsMax)
      .map(
        (path, i) =>
          `$limit ${quoted(path)} --version >/dev/null 2>&1 </dev/null; echo "t ${i} $?"`,
      ),
    'exit 0',
  ].join('\n');
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * Which of the programs started, by path. A code of its own is a start, whatever it is: few programs
 * know `--version`, and all that know nothing of it say so. Not to be found, not to be executed, and
 * killed by the kernel are none. Lines that make no sense count for nothing.
 */
export function readTrial(output: string, paths: readonly string[]): Map<string, boolean> {
  const started = new Map<string, boolean>();
  for (const line of output.split('\n')) {
    const [, at, code] = /^t (\d{1,3}) (\d{1,3})$/.exec(line) ?? [];
    const path = paths[Number(at)];
    if (code === undefined || path === undefined || started.has(path)) continue;
    started.set(path, !notStarted.has(Number(code)));
  }
  return started;
}

// 126 and 127 of shells; SIGILL and SIGSYS, of a program for another machine or behind a filter.
const notStarted: ReadonlySet<number> = new Set([126, 127, 132, 159]);
