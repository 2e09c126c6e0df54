import { OrchestraError } from '#contract/errors.ts';
import { quoted } from '../base/schema-issues.ts';
import { readIntent } from '../planner/intent.ts';

const place = /word (\d{1,4}) of what was asked for/g;

/**
 * Why an intent was refused, for the log: the words of the one who asked are in the vault, so here
 * stands which of them it is, as `readIntent` counts those that it does not know.
 */
export function withoutWords(error: OrchestraError, intent: string): OrchestraError {
  const { names } = readIntent(intent);
  if (names.length === 0) return error;
  const mask = (text: string) =>
    names.reduce(
      (masked, name, at) => masked.replaceAll(quoted(name), `word ${at + 1} of what was asked for`),
      text,
    );
  const { hint, places, cause } = error;
  return new OrchestraError(error.code, mask(error.message), {
    places: places.map((each) => ({ ...each, message: mask(each.message) })),
    ...(hint === undefined ? {} : { hint: mask(hint) }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The same for whoever may read the words: they stand in it again. */
export function withWords(reason: string, intent: string): string {
  if (!reason.includes(' of what was asked for')) return reason;
  const { names } = readIntent(intent);
  return reason.replaceAll(place, (said, number: string) => {
    const name = names[Number(number) - 1];
    return name === undefined ? said : quoted(name);
  });
}
