import { baseEnvironment } from '../environment.ts';

/** Where tasks find programs, in this order. */
export const programDirs: readonly string[] = (baseEnvironment['PATH'] ?? '').split(':');

/** More than any image has; what comes after so many is counted and not looked at. */
export const programsMax = 4096;

/** Where an image may say what its programs are. Taken for what it is: the image's own word. */
export const claimPath = '/usr/share/orchestra/tools.json';
export const claimBytesMax = 512 * 1024;

// How programs are asked for their version, where they are known. `-version` is Java's.
const versionArgs: Readonly<Record<string, string>> = {
  node: '--version',
  npm: '--version',
  npx: '--version',
  pnpm: '--version',
  yarn: '--version',
  busybox: '--help',
  git: '--version',
  make: '--version',
  cmake: '--version',
  gcc: '--version',
  cargo: '--version',
  rustc: '--version',
  go: 'version',
  python: '--version',
  python3: '--version',
  pytest: '--version',
  gradle: '--version',
  mvn: '--version',
  java: '-version',
};

/**
 * What runs in a sandbox of an image to find out which programs it has: POSIX shell and four
 * programs of the contract of images. Prints lines for `read-probe.ts`:
 *
 *     p PATH FILE     a program in PATH, and the file that its links lead to
 *     x N             files that were left out
 *     h HEX  FILE     the digest of a file
 *     m               everything was measured: what follows may be missing
 *     c TEXT          a line of what the image says of itself
 *     v NAME TEXT     the first line that a program says of its version
 *
 * Versions come last and from the programs that are known only, each ended after a while: any of
 * them may hang, or never stop talking.
 */
export function probeScript({
  dirs = programDirs,
  max = programsMax,
  claim = claimPath,
  scratch = '/tmp/.tools',
} = {}): string {
  return [
    'LC_ALL=C; export LC_ALL',
    `list=${scratch}; left=0; n=0`,
    `for dir in ${dirs.join(' ')}; do`,
    '  for file in "$dir"/*; do',
    '    [ -f "$file" ] && [ -x "$file" ] || continue',
    '    case ${file##*/} in *[!][A-Za-z0-9_.+@-]*) left=$((left+1)); continue;; esac',
    `    [ $n -lt ${max} ] || { left=$((left+1)); continue; }`,
    '    real=$(realpath "$file") || { left=$((left+1)); continue; }',
    '    case $real in *[!][A-Za-z0-9_.+@/-]*) left=$((left+1)); continue;; esac',
    '    n=$((n+1)); echo "p $file $real"',
    '  done',
    'done >$list',
    'cat $list; echo "x $left"',
    "cut -d' ' -f3 $list | sort -u | xargs sha256sum | sed 's/^/h /'",
    'echo m',
    `[ -f ${claim} ] && head -c ${claimBytesMax} ${claim} | sed 's/^/c /' && echo && exit 0`,
    'limit=; timeout 1 true 2>/dev/null && limit="timeout 10"',
    `for known in ${Object.entries(versionArgs)
      .map(([name, arg]) => `${name}:${arg}`)
      .join(' ')}; do`,
    '  name=${known%%:*}; command -v "$name" >/dev/null || continue',
    '  said=$($limit "$name" "${known#*:}" 2>&1 </dev/null | head -c 4096 | head -n 1 | cut -c 1-200)',
    '  echo "v $name $said"',
    'done',
    'exit 0',
  ].join('\n');
}
