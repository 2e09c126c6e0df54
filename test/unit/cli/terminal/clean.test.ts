import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clean, lineMax, safe, TerminalCleaner } from '#cli/terminal/clean.ts';

const esc = '\u001b';
const plain = (text: string) => clean(text, { colour: false });
const coloured = (text: string) => clean(text, { colour: true });

describe('what a terminal must never see', () => {
  test.each([
    ['a window title', `a${esc}]0;owned\u0007b`],
    ['a clipboard write', `a${esc}]52;c;ZXZpbA==${esc}\\b`],
    ['a link', `a${esc}]8;;http://x/${esc}\\b${esc}]8;;${esc}\\`],
    ['a device control string', `a${esc}P1$r0m${esc}\\b`],
    ['an application command', `a${esc}_G payload${esc}\\b`],
    ['a privacy message', `a${esc}^x${esc}\\b`],
    ['a start of string', `a${esc}Xx${esc}\\b`],
    ['a cursor move', `a${esc}[2Ab`],
    ['a screen clear', `a${esc}[2J${esc}[Hb`],
    ['the alternate screen', `a${esc}[?1049hb`],
    ['a status question', `a${esc}[6nb`],
    ['a full reset', `a${esc}cb`],
    ['a character set', `a${esc}(0b`],
    ['an eight-bit CSI in UTF-8', `a\u009b2Jb`],
    ['an eight-bit OSC in UTF-8', `a\u009d0;owned\u009cb`],
    ['a bell and a NUL', 'a\u0007\u0000b'],
    ['a backspace', 'a\bb'],
    ['a private SGR', `a${esc}[>4;2mb`],
  ])('%s is dropped', (_name, text) => {
    expect(coloured(text)).toBe('ab');
  });

  test('a raw C1 byte is not passed on', () => {
    const cleaner = new TerminalCleaner({ colour: true });
    const out = cleaner.push(Uint8Array.of(0x61, 0x9b, 0x32, 0x4a, 0x62)) + cleaner.end();
    expect(out).toBe('a\uFFFD2Jb');
  });

  test('an unfinished control string hides nothing beyond its line', () => {
    expect(coloured(`a${esc}]0;x\nnext`)).toBe('a\nnext');
    expect(coloured(`a${esc}]0;${'x'.repeat(5000)}seen`)).toContain('seen');
  });

  test('bidi and zero-width characters are shown as tags', () => {
    expect(plain('a\u202Eb\u2066c\u200Bd\uFEFFe')).toBe('a<U+202E>b<U+2066>c<U+200B>d<U+FEFF>e');
  });

  test('concealed and blinking text loses its attribute, colour stays', () => {
    expect(coloured(`${esc}[8;31;5mx`)).toBe(`${esc}[31mx${esc}[0m`);
    expect(coloured(`${esc}[8mx`)).toBe('x');
  });
});

test('colours stay when wanted and go when not', () => {
  const text = `${esc}[1;38;5;208mwarm${esc}[0m`;
  expect(coloured(text)).toBe(text);
  expect(plain(text)).toBe('warm');
});

test('a colour ends with its line', () => {
  expect(coloured(`${esc}[31mred\nplain`)).toBe(`${esc}[31mred${esc}[0m\nplain`);
});

test('progress with carriage returns collapses to its last state', () => {
  expect(plain('10%\r50%\r100%\ndone\r\n')).toBe('100%\ndone\n');
  expect(plain('50%\r')).toBe('50%');
});

test('an emoji keeps its joiner and a word does not', () => {
  expect(plain('👩‍💻')).toBe('👩‍💻');
  expect(plain('a\u200Db')).toBe('a<U+200D>b');
});

test('a line without end is broken, not collected', () => {
  const cleaner = new TerminalCleaner({ colour: true });
  expect(cleaner.push(Buffer.from('x'.repeat(lineMax + 1)))).toHaveLength(lineMax + 1);
});

test('a name with a line end is one visible line', () => {
  expect(safe(`a\n${esc}[31mb`)).toBe('a<U+000A><U+001B>[31mb');
});

const piece = fc.oneof(
  fc.constantFrom('\n', '\r', '\t', esc, `${esc}[`, `${esc}]`, `${esc}\\`, '31m', '\u009b', ';8m'),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const noise = fc.oneof(
  fc.array(piece, { maxLength: 40 }).map((parts) => Buffer.from(parts.join(''))),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
);

test('whatever comes in, nothing but text, tabs, line ends and SGR comes out', () => {
  fc.assert(
    fc.property(noise, fc.boolean(), (bytes, colour) => {
      const cleaner = new TerminalCleaner({ colour });
      const out = cleaner.push(bytes) + cleaner.end();
      const rest = colour ? out.replaceAll(new RegExp(`${esc}\\[[0-9;:]*m`, 'g'), '') : out;
      expect(rest).not.toMatch(
        // oxlint-disable-next-line no-control-regex -- they are what must not be there
        /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
      );
    }),
    { numRuns: 500 },
  );
});

test('cleaning in pieces is cleaning the whole, wherever the cuts are', () => {
  fc.assert(
    fc.property(noise, fc.array(fc.nat(200), { maxLength: 6 }), (bytes, cuts) => {
      const whole = new TerminalCleaner({ colour: true });
      const expected = whole.push(bytes) + whole.end();
      const edges = [0, ...cuts.map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b)];
      const pieces = new TerminalCleaner({ colour: true });
      let out = '';
      for (const [n, from] of edges.entries()) {
        out += pieces.push(bytes.subarray(from, edges[n + 1] ?? bytes.length));
      }
      expect(out + pieces.end()).toBe(expected);
    }),
    { numRuns: 500 },
  );
});
