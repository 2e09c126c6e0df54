import { filterSgr } from './sgr.ts';

/**
 * Makes text that a task, a file name or a plan brought along harmless for a terminal.
 *
 * What stays: printable characters, tabs, line ends and, with `colour`, SGR colours. What goes:
 * OSC, DCS, APC, PM, SOS strings, every cursor or mode sequence, C0 and C1 controls. Characters
 * that reorder or hide text (bidi controls, zero-width) become visible tags such as `<U+202E>`.
 * A `\r` progress line collapses to its last state. Colours end with their line, so one line can
 * never dye the next. An unfinished control string ends with its line: it cannot swallow more.
 *
 * Input may be cut anywhere: the concatenation of all answers is the same. Whole lines come out;
 * a line longer than `lineMax` is broken. `end` gives the last unfinished line.
 */
export class TerminalCleaner {
  readonly #colour: boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #state: State = 'ground';
  #line = '';
  #sequence = '';
  #dyed = false;
  #returned = false;
  #pictograph = false;
  #sgrCount = 0;
  #out = '';

  constructor({ colour }: { colour: boolean }) {
    this.#colour = colour;
  }

  push(bytes: Uint8Array): string {
    return this.#feed(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The rest, without a line end of its own unless the input had one. */
  end(): string {
    this.#feedInto(this.#decoder.decode());
    this.#state = 'ground';
    this.#flushLine('');
    return this.#take();
  }

  #feed(text: string): string {
    this.#feedInto(text);
    return this.#take();
  }

  #take(): string {
    const out = this.#out;
    this.#out = '';
    return out;
  }

  #feedInto(text: string): void {
    for (const char of text) this.#step(char, char.codePointAt(0) ?? 0);
  }

  #step(char: string, code: number): void {
    // These two leave every state: nothing may hide a line end or the start of a new sequence.
    if (code === 0x0a) {
      this.#state = 'ground';
      this.#flushLine('\n');
      return;
    }
    if (code === esc) {
      this.#state = this.#state === 'string' ? 'string-escape' : 'escape';
      return;
    }
    switch (this.#state) {
      case 'ground':
        this.#ground(char, code);
        return;
      case 'escape':
        this.#escape(char, code);
        return;
      case 'escape-intermediate':
        if (code >= 0x20 && code <= 0x2f) return;
        this.#state = 'ground';
        if (code < 0x30 || code > 0x7e) this.#ground(char, code);
        return;
      case 'csi':
      case 'csi-ignored':
        this.#csi(char, code);
        return;
      case 'string':
        this.#string(code);
        return;
      case 'string-escape':
        this.#state = 'escape';
        // ESC \ ends the string; any other sequence ends it too and begins itself.
        if (char === '\\') this.#state = 'ground';
        else this.#escape(char, code);
        return;
    }
  }

  #ground(char: string, code: number): void {
    if (code >= 0x80 && code <= 0x9f) {
      this.#introducer(code);
    } else if (code === 0x0d) {
      this.#returned = true;
    } else if (code === 0x09 || (code >= 0x20 && code < 0x7f)) {
      this.#write(char, false);
    } else if (code > 0x9f) {
      // The joiner of an emoji stays; anywhere else it only hides something.
      const joins = code === 0x200d && this.#pictograph;
      const shown = !joins && isHidden(code, char) ? tag(code) : char;
      this.#write(shown, joins || code === 0xfe0f || pictographic.test(char));
    }
  }

  #introducer(code: number): void {
    if (code === 0x9b) this.#begin('csi');
    else if (stringIntroducers.has(code)) this.#begin('string');
  }

  #escape(char: string, code: number): void {
    if (char === '[') this.#begin('csi');
    else if (char === ']' || char === 'P' || char === 'X' || char === '^' || char === '_') {
      this.#begin('string');
    } else if (code >= 0x20 && code <= 0x2f) this.#begin('escape-intermediate');
    else {
      this.#state = 'ground';
      if (code < 0x30 || code > 0x7e) this.#ground(char, code);
    }
  }

  #begin(state: State): void {
    this.#state = state;
    this.#sequence = '';
  }

  #csi(char: string, code: number): void {
    if (code >= 0x40 && code <= 0x7e) {
      const kept = this.#state === 'csi' && char === 'm' ? this.#sequence : undefined;
      this.#state = 'ground';
      if (kept !== undefined) this.#dye(kept);
    } else if (code >= 0x20 && code <= 0x3f) {
      this.#sequence += char;
      if (this.#sequence.length > sequenceMax) this.#state = 'csi-ignored';
    } else {
      this.#state = 'ground';
      this.#ground(char, code);
    }
  }

  #string(code: number): void {
    this.#sequence += '.';
    const ended = code === 0x07 || code === 0x9c || code === 0x18 || code === 0x1a;
    if (ended || this.#sequence.length > stringMax) this.#state = 'ground';
  }

  #dye(parameters: string): void {
    if (!this.#colour || this.#sgrCount >= sgrPerLineMax) return;
    const kept = filterSgr(parameters);
    if (kept === undefined) return;
    this.#startOver();
    this.#sgrCount += 1;
    this.#dyed = !/^0?$/.test(kept);
    this.#line += `\u001b[${kept}m`;
  }

  #write(text: string, pictograph: boolean): void {
    this.#startOver();
    this.#line += text;
    this.#pictograph = pictograph;
    if (this.#line.length >= lineMax) this.#flushLine('\n');
  }

  #startOver(): void {
    if (!this.#returned) return;
    this.#line = this.#dyed ? '\u001b[0m' : '';
    this.#dyed = false;
    this.#returned = false;
  }

  #flushLine(ending: string): void {
    this.#out += this.#line + (this.#dyed ? '\u001b[0m' : '') + ending;
    this.#line = '';
    this.#dyed = false;
    this.#returned = false;
    this.#pictograph = false;
    this.#sgrCount = 0;
  }
}

type State =
  'ground' | 'escape' | 'escape-intermediate' | 'csi' | 'csi-ignored' | 'string' | 'string-escape';

const esc = 0x1b;
const sequenceMax = 64;
const stringMax = 4096;
const sgrPerLineMax = 256;
export const lineMax = 64 * 1024;
const stringIntroducers = new Set([0x90, 0x98, 0x9d, 0x9e, 0x9f]);
const pictographic = /\p{Extended_Pictographic}/u;
const hidden = /[\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

function isHidden(code: number, char: string): boolean {
  const isVariationSelector = code >= 0xfe00 && code <= 0xfe0f;
  return !isVariationSelector && hidden.test(char);
}

function tag(code: number): string {
  return `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}

/** A whole text at once. */
export function clean(text: string, options: { colour: boolean }): string {
  const cleaner = new TerminalCleaner(options);
  return cleaner.push(Buffer.from(text)) + cleaner.end();
}

/**
 * One value on one line, without colours: names, paths, messages. Control characters are shown
 * (`\n` as `<U+000A>`), not dropped, so two different names never look alike.
 */
export function safe(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return clean(text.toWellFormed().replace(/[\u0000-\u001f\u007f-\u009f]/g, showControl), {
    colour: false,
  });
}

function showControl(char: string): string {
  return tag(char.charCodeAt(0));
}
