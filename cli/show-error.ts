import { exitCodes, OrchestraError, type ErrorPlace } from '#contract/errors.ts';
import { exitWords } from './exit-meanings.ts';
import { safe } from './terminal/clean.ts';
import type { Print } from './terminal/print.ts';

/** Says what went wrong, once, in the form that was asked for; answers the exit code. */
export async function showError(error: unknown, print: Print): Promise<number> {
  const known = error instanceof OrchestraError ? error : bug(error);
  const exit = known.facts.exit;
  if (print.json) {
    const { problemOf } = await import('./client/errors.ts');
    print.error(problemOf(known));
    return exit;
  }
  const { red, bold, dim } = print.err;
  print.warn(`${red('✗')} ${bold(lines(known.message))}  ${dim(known.code)}`);
  for (const place of known.places) print.warn(`    ${placeText(place)}`);
  const next = known.hint === undefined ? '' : `${bold('Next')}  ${lines(known.hint)}   `;
  print.warn(`${next}${dim(`exit ${exit}, ${exitWords[exit] ?? 'failed'}`)}`);
  if (exit === exitCodes.bug && known.cause instanceof Error) {
    print.warn(dim(lines(known.cause.stack ?? known.cause.message)));
  }
  return exit;
}

function bug(error: unknown): OrchestraError {
  const message = error instanceof Error ? error.message : String(error);
  return new OrchestraError('internal.bug', `This is a bug in Orchestra: ${message}`, {
    hint: 'please report it with the lines below',
    cause: error,
  });
}

function placeText(place: ErrorPlace): string {
  const at = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
  const where = at === '' ? (place.pointer ?? '') : at;
  const hint = place.hint === undefined ? '' : ` (${place.hint})`;
  return lines(`${where === '' ? '' : `${where}  `}${place.message}${hint}`);
}

// A message may quote what somebody else wrote; its line ends stay, everything else is shown.
function lines(text: string): string {
  return text.split('\n').map(safe).join('\n    ');
}
