import type { OutputTail } from '../../sandbox/output-tail.ts';
import { plainLine } from '../../sandbox/hints.ts';

const half = 2048;
const linesMax = 200;

/** The last 4 KiB of what a task said, half of each stream at least, with nothing but text in it. */
export function failureTail(tail: Pick<OutputTail, 'text'>): string {
  const [errors, output] = [lines(tail.text(2)), lines(tail.text(1))];
  return [
    output.slice(-Math.max(half, 2 * half - errors.length)),
    errors.slice(-Math.max(half, 2 * half - output.length)),
  ]
    .filter((text) => text !== '')
    .join('\n')
    .slice(-2 * half);
}

function lines(text: string): string {
  return text.split('\n').slice(-linesMax).map(plainLine).join('\n').trimEnd();
}
