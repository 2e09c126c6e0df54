import { OrchestraError } from '#contract/errors.ts';
import { parseDuration } from '#contract/units.ts';
import type { Options } from './context.ts';

export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

export function flagOption(options: Options, name: string): boolean {
  return options[name] === true;
}

/** A whole number within bounds, or `usage.invalid`. */
export function countOption(
  options: Options,
  name: string,
  { min, max }: { min: number; max: number },
): number | undefined {
  const value = textOption(options, name);
  return value === undefined ? undefined : parseCount(value, `--${name}`, { min, max });
}

/** A duration such as `10m` in milliseconds, or `usage.invalid`. */
export function durationOption(options: Options, name: string): number | undefined {
  const value = textOption(options, name);
  return value === undefined ? undefined : parseTime(value, `--${name}`);
}

export function parseTime(text: string, what: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new OrchestraError('usage.invalid', `${what} ${text} is not a duration`, {
    hint: 'write 90s, 10m or 1h30m',
  });
}

export function parseCount(
  text: string,
  what: string,
  { min, max }: { min: number; max: number },
): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new OrchestraError(
      'usage.invalid',
      `${what} must be a whole number from ${min} to ${max}, not ${text}`,
    );
  }
  return value;
}

/** One of some words, or `usage.invalid` that names them. */
export function choiceOption<T extends string>(
  options: Options,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = textOption(options, name);
  if (value === undefined) return undefined;
  const choice = choices.find((each) => each === value);
  if (choice === undefined) {
    throw new OrchestraError('usage.invalid', `--${name} ${value} is unknown`, {
      hint: `choose from ${choices.join(', ')}`,
    });
  }
  return choice;
}
