import type { OrchestraError } from '#contract/errors.ts';
import { cutText } from '../base/text.ts';

/** Why something was refused, as the log says it: every reason, one line each. */
export function reasonsOf(error: OrchestraError): string[] {
  const places = error.places.map(({ file, line, column, pointer, message, hint }) => {
    const at = file === undefined ? (pointer ?? '') : `${file}:${line ?? 0}:${column ?? 0}`;
    return `${at === '' ? '' : `${at} `}${message}${hint === undefined ? '' : `, ${hint}`}`;
  });
  const next = error.hint === undefined ? [] : [`Next: ${error.hint}`];
  const all = [error.message, ...places, ...next].map((text) => cutText(text, 512));
  return all.length <= 64 ? all : [...all.slice(0, 63), `and ${all.length - 63} more`];
}
