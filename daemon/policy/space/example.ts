/**
 * A text that a regular expression fits, of the plain kinds that policies have: words, classes,
 * groups, alternatives, repetition. Undefined where it is of another kind; whoever asks tries the
 * answer, so a wrong one does no harm.
 */
export function exampleOf(pattern: string): string | undefined {
  const reader: Reader = { pattern, at: 0, depth: 0 };
  const text = alternatives(reader);
  return reader.at === pattern.length ? text : undefined;
}

type Reader = { readonly pattern: string; at: number; depth: number };

const patternMax = 1024;
const depthMax = 16;

function alternatives(reader: Reader): string | undefined {
  if (reader.pattern.length > patternMax || reader.depth > depthMax) return undefined;
  // The first alternative will do; the others are read to find the end.
  const first = sequence(reader);
  if (first === undefined) return undefined;
  while (reader.pattern[reader.at] === '|') {
    reader.at += 1;
    if (sequence(reader) === undefined) return undefined;
  }
  return first;
}

function sequence(reader: Reader): string | undefined {
  let text = '';
  for (;;) {
    const sign = reader.pattern[reader.at];
    if (sign === undefined || sign === '|' || sign === ')') return text;
    const one = single(reader);
    if (one === undefined) return undefined;
    const times = repetition(reader);
    if (times === undefined) return undefined;
    text += one.repeat(times);
  }
}

function single(reader: Reader): string | undefined {
  const sign = reader.pattern[reader.at] ?? '';
  reader.at += 1;
  switch (sign) {
    case '^':
    case '$':
      return '';
    case '.':
      return 'x';
    case '\\':
      return escaped(reader);
    case '[':
      return oneOf(reader);
    case '(': {
      if (reader.pattern.startsWith('?:', reader.at)) reader.at += 2;
      else if (reader.pattern[reader.at] === '?') return undefined;
      reader.depth += 1;
      const inner = alternatives(reader);
      reader.depth -= 1;
      if (reader.pattern[reader.at] !== ')') return undefined;
      reader.at += 1;
      return inner;
    }
    case '*':
    case '+':
    case '?':
    case '{':
      return undefined;
    default:
      return sign;
  }
}

function escaped(reader: Reader): string | undefined {
  const sign = reader.pattern[reader.at];
  reader.at += 1;
  if (sign === undefined) return undefined;
  const classes: Readonly<Record<string, string>> = {
    d: '0',
    w: 'x',
    s: ' ',
    D: 'x',
    W: '-',
    S: 'x',
  };
  if (Object.hasOwn(classes, sign)) return classes[sign];
  if (sign === 'b' || sign === 'A' || sign === 'z') return '';
  return /[a-zA-Z0-9]/.test(sign) ? undefined : sign;
}

function oneOf(reader: Reader): string | undefined {
  const end = reader.pattern.indexOf(']', reader.at + 1);
  const isNot = reader.pattern[reader.at] === '^';
  if (end === -1) return undefined;
  const inside = reader.pattern.slice(reader.at + (isNot ? 1 : 0), end);
  reader.at = end + 1;
  if (inside.includes('[')) return undefined;
  if (isNot) return ['x', '0', '-', ' '].find((sign) => !inside.includes(sign));
  const [first = '', second = ''] = inside;
  return first === '\\'
    ? escaped({ pattern: inside, at: 1, depth: 0 })
    : first + (first === '' ? second : '');
}

function repetition(reader: Reader): number | undefined {
  const { pattern } = reader;
  const sign = pattern[reader.at];
  let times = 1;
  if (sign === '*' || sign === '?' || sign === '+') {
    reader.at += 1;
    times = 1;
  } else if (sign === '{') {
    const found = /^\{(\d{1,3})(?:,\d{0,3})?\}/.exec(pattern.slice(reader.at, reader.at + 16));
    if (found === null) return undefined;
    reader.at += found[0].length;
    times = Number(found[1]);
  } else return 1;
  // Lazy or not makes no difference to what fits.
  if (pattern[reader.at] === '?') reader.at += 1;
  return times;
}
