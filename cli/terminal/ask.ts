import { createInterface } from 'node:readline';
import type { Context } from '../context.ts';

const answerMax = 64;

/** Whether there is somebody who could answer: never a pipe, a CI job or a reader of JSON. */
export function canAsk({ io, env, print }: Context): boolean {
  const isTyped = (io.stdin as { isTTY?: boolean }).isTTY === true;
  return isTyped && io.stderr.isTTY === true && !print.json && (env['CI'] ?? '') === '';
}

/** Asks for a yes; everything else, and the end of the input, is a no. */
export async function confirm({ io, print }: Context, question: string): Promise<boolean> {
  print.prompt(`${question} [y/N] `);
  const lines = createInterface({ input: io.stdin, crlfDelay: Infinity });
  try {
    for await (const line of lines) {
      return /^\s*y(?:es)?\s*$/i.test(line.slice(0, answerMax));
    }
    return false;
  } finally {
    lines.close();
  }
}
