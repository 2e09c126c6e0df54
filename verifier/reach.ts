import type { Assurance } from './signatures.ts';

type Reach = Assurance & {
  first: number;
  size: number;
  /** Size of a head that was remembered elsewhere and is met. */
  outside: number | undefined;
  isSigned: boolean;
};

/** How far each guarantee reaches, in words. */
export function reachOf(reach: Reach): string {
  const { first, size, outside, isSigned, signed, witnessed, trusted } = reach;
  if (size <= first) return 'nothing was checked';
  const head =
    outside === undefined ? [] : [`a head remembered elsewhere vouches for the first ${outside}`];
  if (!isSigned && trusted === 0) {
    const range = `records ${first} to ${size - 1}: chain only`;
    return [range, ...(head.length > 0 ? head : ['nothing outside this host vouches for it'])].join(
      '; ',
    );
  }
  const parts: string[] = [];
  let from = first;
  const upTo = (end: number, how: string) => {
    if (end <= from) return;
    parts.push(`records ${from} to ${end - 1} ${how}`);
    from = end;
  };
  if (witnessed !== undefined) {
    const by = witnessed.by.map(({ name, at }) => `${name} at ${timeOf(at)}`).join(', ');
    upTo(Math.min(witnessed.size, size), `witnessed by ${by}`);
  }
  upTo(Math.min(trusted, size), 'vouched for by what you brought from outside');
  if (signed !== undefined) {
    upTo(
      Math.min(signed.size, size),
      `signed by the key of epoch ${signed.epoch}, which nothing from outside vouches for`,
    );
  }
  upTo(size, 'chained only');
  return [...parts, ...head].join('; ');
}

function timeOf(seconds: number): string {
  return seconds <= 253_402_300_799 ? new Date(seconds * 1000).toISOString() : `${seconds} s`;
}
