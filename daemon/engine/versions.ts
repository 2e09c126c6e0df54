/**
 * Orders versions as their projects number them: `1.1.12`, `1.0.0-rc95`, `1.4.0-rc.3`,
 * `1.1.5+ds1`. A release candidate comes before its release; what follows `+` or `~ds` is how a
 * distribution packed it. Undefined for what is no version.
 */
export function compareVersions(a: string, b: string): number | undefined {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  if (left === undefined || right === undefined) return undefined;
  for (const [i, number] of left.entries()) {
    const difference = number - (right[i] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** The first thing in a text that looks like a version, such as in what `--version` prints. */
export function versionIn(text: string): string | undefined {
  return /\d{1,9}(?:\.\d{1,9}){1,2}(?:[-~]rc\.?\d{1,9})?/.exec(
    // Debian numbers gVisor by the day: 0.0~20221219.0.
    text.slice(0, 1024).replace('0.0~', ''),
  )?.[0];
}

/** Three numbers, and the number of the candidate: a release counts as the last of them. */
function numbersOf(version: string): [number, number, number, number] | undefined {
  const found = /^v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:[-~]rc\.?(\d{1,9}))?/.exec(version);
  if (found === null) return undefined;
  const [, major, minor, patch = '0', candidate] = found;
  return [
    Number(major),
    Number(minor),
    Number(patch),
    Number(candidate ?? Number.MAX_SAFE_INTEGER),
  ];
}

/**
 * Whether a version has a fix that came out on several lines: `fixed` names the first good version
 * of each. A line that is not named is good when it is newer than all of them.
 */
export function isFixed(version: string, fixed: readonly string[]): boolean | undefined {
  const own = lineOf(version);
  const ofLine = fixed.find((each) => lineOf(each) === own);
  const wanted =
    ofLine ?? fixed.reduce((most, each) => ((compareVersions(each, most) ?? 0) > 0 ? each : most));
  const order = compareVersions(version, wanted);
  return order === undefined ? undefined : order >= 0;
}

const lineOf = (version: string) => /^v?(\d+\.\d+)/.exec(version)?.[1];

/**
 * Whether a package of Debian is the one with the fix or a later one of the same upstream version:
 * `1.1.5+ds1-1+deb12u1`. Of any other upstream version nothing is claimed.
 */
export function hasDebianFix(installed: string, fixed: string): boolean {
  const [have, want] = [partsOf(installed), partsOf(fixed)];
  if (have === undefined || want === undefined) return false;
  return (
    have.upstream === want.upstream && have.release === want.release && have.update >= want.update
  );
}

function partsOf(version: string) {
  const found = /^(?:\d+:)?([0-9][0-9A-Za-z.+~]*-\d+)\+(deb\d+)u(\d{1,6})$/.exec(version);
  if (found === null) return undefined;
  const [, upstream = '', release = '', update = ''] = found;
  return { upstream, release, update: Number(update) };
}
