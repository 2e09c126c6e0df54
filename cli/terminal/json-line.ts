/**
 * JSON on one line that says the same to every parser and does nothing to a terminal: what JSON
 * leaves as it is and a terminal obeys or hides (C1 controls, bidi, zero-width) is spelled out.
 */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value);
  return text.replace(unseen, spelled);
}

const unseen = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

function spelled(char: string): string {
  let out = '';
  // By UTF-16 units: outside of the first plane JSON has two of them.
  for (let i = 0; i < char.length; i += 1) {
    out += `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }
  return out;
}
