import { isUtf8 } from 'node:buffer';
import { coreOf, withoutBreaks } from './core.ts';

/** Shorter ones would be found where nobody wrote them. */
export const spellingMin = 8;

const lineMin = 16;
const linesMax = 256;

/**
 * How a program may write a value down without meaning to hide it: as it is, line by line, and in
 * base64, hex, percent and JSON. Without line breaks, each once.
 */
export function spellingsOf(value: Uint8Array): Uint8Array[] {
  const core = Buffer.from(coreOf(value));
  const all = [
    core,
    ...linesOf(core),
    ...base64(core),
    ...wholeBase64(Buffer.from(value)),
    ...hex(core),
    ...percent(core),
    ...json(core),
  ];
  const unique = new Map<string, Uint8Array>();
  for (const spelling of all) {
    const symbols = withoutBreaks(spelling);
    if (symbols.length >= spellingMin) {
      unique.set(Buffer.from(symbols).toString('latin1'), symbols);
    }
  }
  return [...unique.values()];
}

/** Of a key or a document, each line alone: `cat -n` and log prefixes come between them. */
function linesOf(core: Buffer): Buffer[] {
  const lines = core.toString('latin1').split(/[\r\n]+/);
  if (lines.length < 2) return [];
  return lines
    .map((line) => line.trim())
    .filter((line) => line.length >= lineMin && !/^-----.*-----$/.test(line))
    .slice(0, linesMax)
    .map(latin1);
}

/**
 * In the middle of a longer text a value can begin at any of three places of a group. Characters
 * that hold bits of a neighbour too are left out; they hold six bits of the value at most.
 */
function base64(core: Buffer): Buffer[] {
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), core]).toString('base64');
    const first = Math.ceil((8 * before) / 6);
    const end = Math.floor((8 * (before + core.length)) / 6);
    return bothAlphabets(text.slice(first, end));
  });
}

/** The value alone, up to its last bit: as it is in the file, and without what surrounds it. */
function wholeBase64(value: Buffer): Buffer[] {
  return [value, Buffer.from(coreOf(value))].flatMap((bytes) => {
    const text = bytes.toString('base64');
    return [...bothAlphabets(text), ...bothAlphabets(text.replace(/=+$/, ''))];
  });
}

function bothAlphabets(text: string): Buffer[] {
  return [latin1(text), latin1(text.replaceAll('+', '-').replaceAll('/', '_'))];
}

function hex(core: Buffer): Buffer[] {
  const text = core.toString('hex');
  return [latin1(text), latin1(text.toUpperCase())];
}

/** What is left as it is: RFC 3986, JavaScript's component and address, paths, forms, nothing. */
const unescaped = [
  /[\w.~-]/,
  /[\w.~!'()*-]/,
  /[\w.~!'()*;,/?:@&=+$#-]/,
  /[\w.~/-]/,
  /[\w.*-]/,
  /[^\s\S]/,
];

function percent(core: Buffer): Buffer[] {
  return unescaped.flatMap((kept) => {
    const texts = [false, true].map((isUpper) =>
      core.toString('latin1').replaceAll(/[^]/g, (byte) => {
        if (kept.test(byte)) return byte;
        const code = byte.charCodeAt(0).toString(16).padStart(2, '0');
        return `%${isUpper ? code.toUpperCase() : code}`;
      }),
    );
    return [...texts, ...texts.map((text) => text.replaceAll('%20', '+'))].map(latin1);
  });
}

function json(core: Buffer): Buffer[] {
  if (!isUtf8(core)) return [];
  const inner = (text: string) => JSON.stringify(text).slice(1, -1);
  const once = inner(core.toString('utf8'));
  const ascii = (isUpper: boolean) =>
    once.replaceAll(/[^\0-\x7e]/g, (unit) => {
      const code = unit.charCodeAt(0).toString(16).padStart(4, '0');
      return `\\u${isUpper ? code.toUpperCase() : code}`;
    });
  const forms = [once, ascii(false), ascii(true)];
  return [...forms, ...forms.map((text) => text.replaceAll('/', '\\/')), inner(once)].map((text) =>
    Buffer.from(text),
  );
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
