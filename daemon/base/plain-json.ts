/**
 * The value of JSON text that has one reading only, whoever reads it: written again, at once or
 * indented by two, it gives the same text. So no key is there twice, none is `__proto__` in
 * disguise, and no number was rounded. Undefined for everything else, which may be sound all the same.
 *
 * What programs write is of this kind, and large; to read it this way takes a tenth of the time and
 * memory that a parser takes which remembers where everything stands.
 */
export function readPlainJson(text: string, depthMax: number): unknown {
  const whole = text.endsWith('\n') ? text.slice(0, -1) : text;
  if (!whole.startsWith('{') || whole.includes('"__proto__"') || isDeep(whole, depthMax)) {
    return undefined;
  }
  try {
    const value: unknown = JSON.parse(whole);
    const indent = whole.startsWith('{\n') ? 2 : undefined;
    return JSON.stringify(value, undefined, indent) === whole ? value : undefined;
  } catch {
    return undefined;
  }
}

function isDeep(text: string, depthMax: number): boolean {
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text.charCodeAt(i);
    if (c === 0x5c) i += 1;
    else if (c === 0x22) isInString = !isInString;
    else if (isInString) continue;
    else if (c === 0x7b || c === 0x5b) depth += 1;
    else if (c === 0x7d || c === 0x5d) depth -= 1;
    if (depth > depthMax) return true;
  }
  return false;
}
