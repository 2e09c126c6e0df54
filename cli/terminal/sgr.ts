/**
 * The harmless part of an SGR sequence's parameters: colours, bold, underline, inverse. Blinking
 * and concealed text are left out; undefined when nothing is left or it is malformed.
 */
export function filterSgr(parameters: string): string | undefined {
  if (!/^[0-9;:]*$/.test(parameters)) return undefined;
  const fields = parameters.split(';');
  const kept: string[] = [];
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at] ?? '';
    const first = Number(field.split(':')[0]);
    if (!field.includes(':') && (first === 38 || first === 48 || first === 58)) {
      const length = colourLength(fields[at + 1]);
      if (length === undefined) break;
      kept.push(...fields.slice(at, at + length));
      at += length - 1;
    } else if (!dropped.has(first)) {
      kept.push(field);
    }
  }
  return kept.length === 0 ? undefined : kept.join(';');
}

const dropped = new Set([5, 6, 8, 28, 25]);

// 38;5;N takes three fields, 38;2;R;G;B five; anything else is malformed.
function colourLength(kind: string | undefined): number | undefined {
  if (kind === '5') return 3;
  if (kind === '2') return 5;
  return undefined;
}
