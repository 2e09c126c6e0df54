import type { Readable, Writable } from 'node:stream';

/** Where a command reads and writes; a test passes its own. */
export type OutputStream = Writable & {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  rows?: number | undefined;
};
export type Io = { stdin: Readable; stdout: OutputStream; stderr: OutputStream };
export type Env = Readonly<Record<string, string | undefined>>;

/** Whether a stream gets colours: NO_COLOR and FORCE_COLOR as their conventions say, per stream. */
export function wantsColour(stream: OutputStream, env: Env, noColor: boolean): boolean {
  if (noColor) return false;
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

/** Whether lines may be redrawn there. */
export function canRedraw(stream: OutputStream, env: Env): boolean {
  return stream.isTTY === true && env['TERM'] !== 'dumb' && (env['CI'] ?? '') === '';
}
