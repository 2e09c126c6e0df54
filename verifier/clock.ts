import { jumpMsMax } from './limits.ts';

export type Stamp = { ts: number; mono: number; boot: string };

/**
 * How far the wall clock jumped between two records, in ms, or 0. Within one boot the monotonic
 * clock says how much time really passed. Across boots only a step back counts: a machine may have
 * been off for as long as it likes. Writer and verifier share this function, so they cannot differ.
 */
export function jumpBetween(before: Stamp, after: Stamp): number {
  const wall = after.ts - before.ts;
  const jump =
    before.boot === after.boot
      ? wall - Math.round((after.mono - before.mono) / 1_000)
      : Math.min(wall, 0);
  return Math.abs(jump) > jumpMsMax ? jump : 0;
}
