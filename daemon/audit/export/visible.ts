/**
 * Text in printable form, so that nothing in it can begin a line, steer a terminal or change the
 * order in which letters are shown: control characters, bidirectional marks, invisible ones, and
 * surrogates without their other half, as JSON spells them (`\u202e`), a backslash as two. Between
 * quotation marks that are escaped it is a JSON string of the same text.
 */
export function visible(text: string): string {
  return unsafe.test(text) ? text.replace(unsafeAll, spell) : text;
}

/** JSON with nothing but printable ASCII in it; it parses to the same. */
export function asciiJson(json: string): string {
  return beyond.test(json) ? json.replace(beyondAll, spellUnit) : json;
}

/** JSON in which what could steer whoever shows it is escaped; it parses to the same. */
export function quietJson(json: string): string {
  return steering.test(json) ? json.replace(steeringAll, spell) : json;
}

const invisible =
  '\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}\\p{Default_Ignorable_Code_Point}\\u{fff9}-\\u{fffb}';
const unsafe = new RegExp(`[\\\\${invisible}]`, 'u');
const unsafeAll = new RegExp(unsafe.source, 'gu');
const steering = new RegExp(`[${invisible}]`, 'u');
const steeringAll = new RegExp(steering.source, 'gu');
const beyond = /[^\x20-\x7e]/;
const beyondAll = /[^\x20-\x7e]/g;
const short: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r' };

function spell(char: string): string {
  return short[char] ?? char.replace(/[^]/g, spellUnit);
}

function spellUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
