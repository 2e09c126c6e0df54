import { hintsMax } from '#contract/hints.ts';
import { cutText } from '../base/text.ts';
import { hintCatalog, type HintEntry } from './hint-catalog.ts';
import type { OutputTail } from './output-tail.ts';

/** An entry of the catalog that was recognised, and the line, made harmless. */
export type FoundHint = { id: string; line: string };

const lineMax = 2048;
const excerptMax = 200;
const linesMax = 1000;

/**
 * Which walls the last lines of a task look like, the last ones first and `hintsMax` at most. Only
 * a reading of what the task chose to print: advice, never evidence.
 */
export function hintsIn(tail: Pick<OutputTail, 'text'>): FoundHint[] {
  const found = new Map<string, FoundHint>();
  // What stderr says comes first: there is less of it, and it is meant for this.
  for (const stream of [2, 1] as const) {
    for (const line of lastLines(tail.text(stream))) {
      const entry = entryOf(line);
      if (entry !== undefined && !found.has(entry.id)) {
        found.set(entry.id, { id: entry.id, line: cutText(line.trim(), excerptMax) });
      }
    }
  }
  const covered = new Set([...found.keys()].flatMap((id) => hintById(id)?.covers ?? []));
  return [...found.values()].filter(({ id }) => !covered.has(id)).slice(0, hintsMax);
}

export function hintById(id: string): HintEntry | undefined {
  return hintCatalog.find((entry) => entry.id === id);
}

function entryOf(line: string): HintEntry | undefined {
  return hintCatalog.find(({ patterns }) => patterns.some((pattern) => pattern.test(line)));
}

function lastLines(text: string): string[] {
  return text
    .split('\n')
    .slice(-linesMax)
    .toReversed()
    .map(plainLine)
    .filter((line) => line !== '');
}

/** One line without anything that could steer a terminal or hide: only what can be read is left. */
export function plainLine(line: string): string {
  return (
    line
      .slice(0, lineMax)
      .replace(/\r+$/, '')
      // A progress line says what it said last.
      .replace(/^.*\r/s, '')
      .replaceAll(escapeSequence, '')
      .replaceAll('\t', ' ')
      .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, '')
      .toWellFormed()
  );
}

/** Colours, cursor moves, titles: sequences that `ESC` begins, and strings up to their end. */
const escapeSequence =
  // oxlint-disable-next-line no-control-regex -- control characters are what is taken out
  /\u001b(?:\[[0-?]{0,32}[ -/]{0,4}[@-~]|[\]PX^_][^\u0007\u001b\u009c]{0,512}(?:\u0007|\u009c|\u001b\\)|[@-Z\\-_])/g;
