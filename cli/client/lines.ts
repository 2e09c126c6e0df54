import { OrchestraError } from '#contract/errors.ts';

const lineBytesMax = 8 * 1024 * 1024;

/** The lines of a byte stream, framed by `\n` only. A line above the limit ends the reading. */
export async function* linesOf(
  source: AsyncIterable<Uint8Array>,
  bytesMax: number = lineBytesMax,
): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let held = 0;
  for await (const chunk of source) {
    let from = 0;
    for (let at = chunk.indexOf(10, from); at !== -1; at = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, at));
      yield Buffer.concat(parts).toString('utf8');
      parts = [];
      held = 0;
      from = at + 1;
    }
    const rest = chunk.subarray(from);
    held += rest.length;
    if (held > bytesMax) {
      throw new OrchestraError('daemon.unreachable', 'The daemon sent a line without an end');
    }
    if (rest.length > 0) parts.push(rest);
  }
  if (held > 0) yield Buffer.concat(parts).toString('utf8');
}
