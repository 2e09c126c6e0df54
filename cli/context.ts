import type { Client } from './client/client.ts';
import type { Print } from './terminal/print.ts';
import type { Env, Io } from './terminal/streams.ts';

export type Signal = 'SIGINT' | 'SIGTERM';

/** What the process gives to the CLI; a test gives its own. */
export type Outside = {
  io: Io;
  env: Env;
  cwd: string;
  onSignal: (listener: (signal: Signal) => void) => void;
  /** Ends the process at once. */
  exitNow: (code: number) => void;
};

export type GlobalOptions = {
  host?: string;
  json: boolean;
  local: boolean;
  stateDir?: string;
};

/** What a command gets. */
export type Context = {
  outside: Outside;
  env: Env;
  cwd: string;
  io: Io;
  globals: GlobalOptions;
  print: Print;
  /** The daemon that is meant; with `--local` it is started now and stopped at the end. */
  client: () => Promise<Client>;
  /** Takes over Ctrl-C and SIGTERM until it is given back. */
  interrupts: Interrupts;
};

/** One command at a time may decide what an interruption means; without one the process ends. */
export class Interrupts {
  #listener: ((signal: Signal) => void) | undefined;
  readonly #otherwise: (signal: Signal) => void;

  constructor(otherwise: (signal: Signal) => void) {
    this.#otherwise = otherwise;
  }

  readonly deliver = (signal: Signal): void => {
    (this.#listener ?? this.#otherwise)(signal);
  };

  take(listener: (signal: Signal) => void): Disposable {
    this.#listener = listener;
    return {
      [Symbol.dispose]: () => {
        this.#listener = undefined;
      },
    };
  }
}

export type Options = Readonly<Record<string, string | boolean | string[] | undefined>>;

/** A command's own code, loaded when it is asked for. Answers the exit code. */
export type Command = (
  context: Context,
  args: readonly string[],
  options: Options,
) => Promise<number>;
