import { once } from 'node:events';
import type { Problem } from '#contract/api.ts';
import { clean } from './clean.ts';
import { jsonLine } from './json-line.ts';
import { wantsColour, type Env, type Io, type OutputStream } from './streams.ts';

export type Verbosity = 'quiet' | 'normal' | 'verbose';
export type Styles = Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', Style>;
type Style = (text: string) => string;

/**
 * The only way in which commands write. Text is cleaned on its way out whatever it is made of, so
 * a name that a task chose cannot steer the terminal; colours of our own survive the cleaning.
 * stdout carries results, stderr progress and complaints; with `--json` stdout carries JSON only.
 */
export class Print {
  readonly json: boolean;
  readonly verbosity: Verbosity;
  readonly out: Styles;
  readonly err: Styles;
  readonly #io: Io;
  readonly #colour: { out: boolean; err: boolean };

  constructor(
    io: Io,
    options: { env: Env; json: boolean; noColor: boolean; verbosity: Verbosity },
  ) {
    this.#io = io;
    this.json = options.json;
    this.verbosity = options.verbosity;
    this.#colour = {
      out: wantsColour(io.stdout, options.env, options.noColor),
      err: wantsColour(io.stderr, options.env, options.noColor),
    };
    this.out = styles(this.#colour.out);
    this.err = styles(this.#colour.err);
  }

  get colour(): { out: boolean; err: boolean } {
    return this.#colour;
  }

  /** A line of the result; nothing in JSON mode, where the object is the result. */
  line(text = ''): void {
    if (this.json) return;
    this.#io.stdout.write(`${clean(text, { colour: this.#colour.out })}\n`);
  }

  /** A line of progress or of a complaint, on stderr. */
  note(text: string): void {
    if (this.verbosity === 'quiet') return;
    this.warn(text);
  }

  detail(text: string): void {
    if (this.verbosity === 'verbose') this.warn(text);
  }

  /** Said even with `--quiet`. */
  warn(text: string): void {
    this.#io.stderr.write(`${clean(text, { colour: this.#colour.err })}\n`);
  }

  /** A question, on stderr; the answer is typed behind it. */
  prompt(text: string): void {
    this.#io.stderr.write(clean(text, { colour: this.#colour.err }));
  }

  /** One JSON object, one line: the whole answer, or one of a stream. */
  object(value: unknown): void {
    this.#io.stdout.write(`${jsonLine(value)}\n`);
  }

  /** The same for a stream without end: waits while the reader is slow. */
  async chunk(value: unknown): Promise<void> {
    await this.bytes(Buffer.from(`${jsonLine(value)}\n`));
  }

  error(problem: Problem): void {
    this.object({ error: problem });
  }

  /** Bytes as they are: files, raw logs. Waits while the reader is slow. */
  async bytes(chunk: Uint8Array, to: 'out' | 'err' = 'out'): Promise<void> {
    const stream: OutputStream = to === 'out' ? this.#io.stdout : this.#io.stderr;
    if (chunk.length === 0 || stream.destroyed) return;
    if (stream.write(chunk)) return;
    // Whichever comes second must not stay behind as a listener: there are as many as blocks.
    const settled = new AbortController();
    const { signal } = settled;
    const waiting = [once(stream, 'drain', { signal }), once(stream, 'close', { signal })];
    await Promise.race(waiting).finally(() => settled.abort());
  }
}

function styles(on: boolean): Styles {
  const sgr = (code: number) => (text: string) => (on ? `\u001b[${code}m${text}\u001b[0m` : text);
  return {
    bold: sgr(1),
    dim: sgr(2),
    red: sgr(31),
    green: sgr(32),
    yellow: sgr(33),
    cyan: sgr(36),
  };
}
