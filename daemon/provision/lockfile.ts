import { posix } from 'node:path';
import { z } from 'zod';
import { OrchestraError, type ErrorPlace } from '#contract/errors.ts';

const bytesMax = 64 * 1024 * 1024;
const entriesMax = 100_000;
const remedy = 'rm package-lock.json && npm install --package-lock-only';

/** The words of a lockfile entry that decide something here; npm's own code reads the rest. */
const Entry = z.looseObject({
  name: z.string().max(256).optional(),
  version: z.string().max(256).optional(),
  resolved: z.string().max(2048).optional(),
  integrity: z.string().max(1024).optional(),
  link: z.boolean().optional(),
  inBundle: z.boolean().optional(),
});
const Lockfile = z.looseObject({
  lockfileVersion: z.number(),
  packages: z.record(z.string().max(1024), Entry),
});

export type Lockfile = z.infer<typeof Lockfile>;

/**
 * A lockfile that npm's code may be given: of a version that names everything, of bounded size, and
 * with no place outside the workspace, because npm reads the `package.json` at such places. `folder`
 * is where in the workspace the lockfile lies.
 */
export function parseLockfile(input: string | Uint8Array, folder = '.'): Lockfile {
  const text = decode(input, 'package-lock.json');
  refuseForeignLockfile(text);
  const json = parseObject(text, 'package-lock.json');

  const version = json['lockfileVersion'];
  if (version === 1 || (version === undefined && 'dependencies' in json)) {
    throw invalid('package-lock.json is of version 1, which does not pin enough', {
      hint: 'npm install --lockfile-version 3 --package-lock-only',
    });
  }
  if (version !== 2 && version !== 3) {
    throw invalid(`package-lock.json is of version ${show(version)}; 2 and 3 are known`, {
      hint: 'npm install --lockfile-version 3 --package-lock-only',
    });
  }
  const parsed = Lockfile.safeParse(json);
  if (!parsed.success) {
    const places = parsed.error.issues.slice(0, 20).map((issue) => ({
      file: 'package-lock.json',
      pointer: `/${issue.path.map((step) => String(step).replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`,
      message: issue.message,
    }));
    throw invalid('package-lock.json does not have the shape of a lockfile', { places });
  }
  const locations = Object.keys(parsed.data.packages);
  if (locations.length > entriesMax)
    throw invalid(`package-lock.json has over ${entriesMax} entries`);

  const outside = Object.entries(parsed.data.packages)
    .filter(
      ([at, entry]) =>
        !staysInside(at, folder) || (entry.link === true && !staysInside(entry.resolved, folder)),
    )
    .map(([at]) => at);
  if (outside.length > 0) {
    throw new OrchestraError(
      'package.unsupported',
      `package-lock.json links to places outside the workspace: ${list(outside)}`,
      { hint: 'Put the package into the workspace, or publish it to a registry' },
    );
  }
  return parsed.data;
}

export function parseManifest(input: string | Uint8Array): Record<string, unknown> {
  return parseObject(decode(input, 'package.json'), 'package.json');
}

/** Names for a message: quoted, so that line breaks and escapes in them do no harm, and few. */
export function list(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => show(name));
  return shown.join(', ') + (names.length > 8 ? ` and ${names.length - 8} more` : '');
}

export function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 200).toWellFormed();
}

/** A relative path that, seen from `folder`, never leaves the workspace. */
export function staysInside(path: string | undefined, folder = '.'): boolean {
  if (path === undefined) return false;
  if (path.startsWith('/') || /[\0\\]/.test(path) || /^[A-Za-z]:/.test(path)) return false;
  return !/^\.\.(\/|$)/.test(posix.join(folder, path));
}

function decode(input: string | Uint8Array, file: string): string {
  if (input.length > bytesMax) throw invalid(`${file} is larger than ${bytesMax} bytes`);
  if (typeof input === 'string') return input;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(input);
  } catch (cause) {
    throw invalid(`${file} is not UTF-8`, { cause });
  }
}

function refuseForeignLockfile(text: string): void {
  const start = text.slice(0, 400);
  const tool = /yarn lockfile|^__metadata:/m.test(start)
    ? 'yarn'
    : /^lockfileVersion:/m.test(start)
      ? 'pnpm'
      : undefined;
  if (tool === undefined) return;
  throw new OrchestraError(
    'package.unsupported',
    `The lockfile is ${tool}’s, and ${tool} is not in the image`,
    { hint: 'npm install --package-lock-only makes one that npm can use' },
  );
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid(`${file} is not JSON`, { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalid(`${file} does not hold an object`);
  }
  return json as Record<string, unknown>;
}

function invalid(
  message: string,
  options: { hint?: string; places?: ErrorPlace[]; cause?: unknown } = {},
): OrchestraError {
  return new OrchestraError('lockfile.invalid', message, { hint: remedy, ...options });
}
