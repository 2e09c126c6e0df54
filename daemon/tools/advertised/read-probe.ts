import { posix } from 'node:path';
import { z } from 'zod';
import type { Digest } from '#contract/ids.ts';
import { ToolName, toolVersionMax, type AdvertisedTool } from '#contract/tools.ts';
import { programDirs, programsMax } from './probe-script.ts';

export type Probed = {
  /** By name. */
  tools: AdvertisedTool[];
  leftOut: number;
  /** Programs of which the image says another digest than was measured, or that it does not have. */
  wrong: string[];
};

/** What an image says of itself, in `claimPath`. */
const Claim = z.object({
  version: z.literal(1),
  tools: z
    .array(
      z.object({
        name: ToolName,
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        version: z.string().max(1024).optional(),
      }),
    )
    .max(programsMax),
});

const wrongMax = 64;
/** Docker's own, mounted into every sandbox that has a first process of Docker's. */
const ofEngine = '/sbin/docker-init';

/**
 * Reads what the probe printed. Every byte of it may be an invention of the image: what is malformed
 * is left out and counted, and nothing comes out that is longer or more than it may be. Undefined
 * where the measuring did not come to its end.
 *
 * A digest is the measured one, always. A version is what the image or the program says, and only of
 * a file whose measured digest is the one that the claim is about.
 */
export function readProbe(
  output: string,
  dirs: readonly string[] = programDirs,
): Probed | undefined {
  const found = new Map<string, { path: string; file: string; rank: number }>();
  const digests = new Map<string, Digest>();
  const said = new Map<string, string>();
  const claim: string[] = [];
  let leftOut = 0;
  let isMeasured = false;
  for (const line of output.split('\n')) {
    const [kind, rest] = [line.slice(0, 2), line.slice(2)];
    if (line === 'm') isMeasured = true;
    else if (kind === 'p ') leftOut += takeProgram(found, rest, dirs);
    else if (kind === 'h ') takeDigest(digests, rest);
    else if (kind === 'x ') leftOut += /^\d{1,9}$/.test(rest) ? Number(rest) : 0;
    else if (kind === 'c ') claim.push(rest);
    else if (kind === 'v ') takeVersion(said, rest);
  }
  if (!isMeasured) return undefined;
  const claimed = readClaim(claim.join('\n'));
  const wrong = [...claimed.keys()].filter(
    (name) => digests.get(found.get(name)?.file ?? '') !== claimed.get(name)?.digest,
  );
  const tools = [...found].flatMap(([name, { path, file }]): AdvertisedTool[] => {
    const binary = digests.get(file);
    if (binary === undefined) return [];
    const own = claimed.get(name);
    const version = own === undefined ? said.get(name) : own.digest === binary ? own.version : '';
    const clean = cleanVersion(version ?? '');
    return [{ name, path, binary, ...(clean === '' ? {} : { version: clean }) }];
  });
  leftOut += found.size - tools.length;
  return {
    tools: tools.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    leftOut,
    wrong: wrong.toSorted().slice(0, wrongMax),
  };
}

/** Answers 1 where it is no program that anybody can be asked about. */
function takeProgram(
  found: Map<string, { path: string; file: string; rank: number }>,
  rest: string,
  dirs: readonly string[],
): 0 | 1 {
  const [path = '', file = '', ...more] = rest.split(' ');
  const rank = dirs.indexOf(posix.dirname(path));
  const name = posix.basename(path);
  if (path === ofEngine) return 0;
  const isProgram =
    more.length === 0 &&
    rank !== -1 &&
    path === posix.join(dirs[rank] ?? '', name) &&
    ToolName.safeParse(name).success &&
    file.startsWith('/');
  if (!isProgram) return 1;
  const before = found.get(name);
  if (before === undefined && found.size >= programsMax) return 1;
  // As a shell finds it: the first directory that has it.
  if (before === undefined || rank < before.rank) found.set(name, { path, file, rank });
  return 0;
}

function takeDigest(digests: Map<string, Digest>, rest: string): void {
  const [, hex, file] = /^([0-9a-f]{64})  (\/.*)$/.exec(rest) ?? [];
  if (hex === undefined || file === undefined || digests.size >= programsMax) return;
  // What is said twice was measured once.
  if (!digests.has(file)) digests.set(file, `sha256:${hex}`);
}

function takeVersion(said: Map<string, string>, rest: string): void {
  const [name = ''] = rest.split(' ', 1);
  if (said.size < programsMax) said.set(name, rest.slice(name.length + 1));
}

function readClaim(text: string): Map<string, { digest: Digest; version: string }> {
  const { data } = Claim.safeParse(parsed(text));
  return new Map(
    (data?.tools ?? []).map(({ name, sha256, version = '' }) => [
      name,
      { digest: `sha256:${sha256}`, version },
    ]),
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `git version 2.39.5` and `BusyBox v1.35.0 (Debian …) multi-call binary.` are not all number. */
function cleanVersion(text: string): string {
  const plain = text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]+/gu, ' ')
    .trim();
  return (
    /\d+(?:\.\d+)+(?:[-+][0-9A-Za-z.+-]{1,64})?/.exec(plain)?.[0].slice(0, toolVersionMax) ?? ''
  );
}
