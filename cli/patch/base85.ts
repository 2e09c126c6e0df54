const alphabet =
  '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';
const lineBytes = 52;

/**
 * The lines of a binary patch of git (`base85.c`, `diff.c`): each begins with a letter for how many
 * bytes it holds, A to Z for 1 to 26 and a to z for 27 to 52; the last group is filled with zeros.
 */
export function base85Lines(bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += lineBytes) {
    const part = bytes.subarray(at, at + lineBytes);
    lines.push(lengthLetter(part.length) + groups(part));
  }
  return lines;
}

function lengthLetter(length: number): string {
  const [first, from] = length <= 26 ? ['A', 1] : ['a', 27];
  return String.fromCharCode(first.charCodeAt(0) + length - from);
}

function groups(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) {
    let value = 0;
    for (let i = 0; i < 4; i += 1) value = value * 256 + (bytes[at + i] ?? 0);
    let group = '';
    for (let i = 0; i < 5; i += 1) {
      group = (alphabet[value % 85] ?? '') + group;
      value = Math.floor(value / 85);
    }
    text += group;
  }
  return text;
}
