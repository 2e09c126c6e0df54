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

/**
 * Milliseconds since 1970 of a time as records write it, undefined where there is no such time.
 * Stricter than the language: no 30th of February, no 24 o'clock.
 */
export function millisOf(ts: string): number | undefined {
  const at = (from: number, to: number) => Number(ts.slice(from, to));
  const [year, month, day] = [at(0, 4), at(5, 7), at(8, 10)];
  const [hour, minute, second] = [at(11, 13), at(14, 16), at(17, 19)];
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) return undefined;
  if (day < 1 || day > daysOf(year, month)) return undefined;
  const seconds = (daysSince1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
  const millis = seconds * 1000 + at(20, 23);
  return Number.isNaN(millis) ? undefined : millis;
}

function daysOf(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

// Years begin in March here, so that a leap day is the last of its year.
function daysSince1970(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const inYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const leaps = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return y * 365 + leaps + inYear - 719_468;
}
