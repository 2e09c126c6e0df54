import type { Command } from './context.ts';

export type OptionSpec = {
  /** As commander writes it: `-j, --concurrency <n>`. */
  flags: string;
  text: string;
  /** It may be said several times; then it is a list. */
  isRepeated?: true;
  /** What completion offers for the value. */
  values?: readonly string[] | 'file' | 'directory' | 'record-types';
};

export type CommandSpec = {
  name: string;
  alias?: string;
  /** As commander writes it: `<run> [task]`. */
  args?: string;
  text: string;
  group: 'Start' | 'Watch' | 'Trust' | 'Care';
  options?: readonly OptionSpec[];
  /** What the help says below the options. */
  more?: string;
  /** What completion offers for the first argument. */
  first?: 'run' | readonly string[];
  load?: () => Promise<Command>;
  /** Words below this one; with `load` as well it does something on its own too. */
  children?: readonly CommandSpec[];
};

/** Options that several commands share. */
export const follow: OptionSpec = { flags: '-f, --follow', text: 'wait for more' };
