import { exitCodes } from '#contract/errors.ts';
import type { Context } from '../context.ts';

type Terminal = NodeJS.ReadableStream & { setRawMode?: (raw: boolean) => void };

const lineMax = 4096;
const [ctrlC, ctrlD, backspace, del] = ['\u0003', '\u0004', '\b', '\u007f'];

/** A line that nobody sees while it is typed or pasted; only where `canAsk`. */
export async function askSecret(
  { io, print, outside }: Context,
  question: string,
): Promise<string> {
  const terminal = io.stdin as Terminal;
  print.prompt(question);
  terminal.setRawMode?.(true);
  try {
    let line = '';
    for await (const part of io.stdin) {
      for (const letter of String(part)) {
        if (letter === ctrlC) outside.exitNow(exitCodes.interrupted);
        if (letter === '\r' || letter === '\n' || letter === ctrlD) return line;
        if (letter === backspace || letter === del) line = line.slice(0, -1);
        else if (line.length < lineMax) line += letter;
      }
    }
    return line;
  } finally {
    terminal.setRawMode?.(false);
    print.prompt('\n');
  }
}
