import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import { OrchestraError } from '#contract/errors.ts';
import type { Context } from '../context.ts';

type Terminal = Readable & { isTTY?: boolean; setRawMode?: (on: boolean) => unknown };

const drainMs = 60;
const charsMax = 64 * 1024;
const [ctrlC, ctrlD, backspace, rubout] = ['\u0003', '\u0004', '\b', '\u007f'];

/**
 * A line that is typed behind `prompt`, as an answer to what is on the screen now: keys that were
 * pressed before are dropped. Undefined at the end of the input, and where `signal` aborts.
 */
export async function readLine(
  { io, print, interrupts }: Context,
  prompt: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const stdin = io.stdin as Terminal;
  const early = await dropTyped(stdin);
  if (early.includes(ctrlC)) interrupts.deliver('SIGINT');
  if (signal?.aborted === true) return undefined;
  print.prompt(prompt);
  return collect(stdin, signal, (text, typed) => {
    const all = typed + text;
    const end = all.search(/[\r\n]/);
    return end === -1 ? { typed: all } : { typed: all.slice(0, end), isOver: true };
  });
}

/** The same, and nothing of what is typed is shown. */
export async function readHidden(
  { io, print, interrupts }: Context,
  prompt: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const stdin = io.stdin as Terminal;
  if (stdin.setRawMode === undefined) {
    throw new OrchestraError('usage.invalid', 'This is no terminal to type a secret on');
  }
  await dropTyped(stdin);
  print.prompt(prompt);
  stdin.setRawMode(true);
  try {
    return await collect(stdin, signal, (text, typed) => {
      let all = typed;
      for (const char of text) {
        if (char === ctrlC) {
          interrupts.deliver('SIGINT');
          return { typed: undefined, isOver: true };
        }
        if (char === ctrlD && all === '') return { typed: undefined, isOver: true };
        if (char === '\r' || char === '\n') return { typed: all, isOver: true };
        if (char === backspace || char === rubout) all = all.slice(0, -1);
        else all += char;
      }
      return { typed: all };
    });
  } finally {
    stdin.setRawMode(false);
    print.prompt('\n');
  }
}

type Step = { typed: string | undefined; isOver?: boolean };

async function collect(
  stdin: Terminal,
  signal: AbortSignal | undefined,
  step: (text: string, typed: string) => Step,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const decoder = new TextDecoder();
  let typed = '';
  const onData = (chunk: Buffer | string) => {
    const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const next = step(text, typed);
    if (next.isOver === true || next.typed === undefined || next.typed.length > charsMax) {
      resolve(next.typed);
    } else typed = next.typed;
  };
  const onEnd = () => resolve(undefined);
  stdin.on('data', onData);
  stdin.once('end', onEnd);
  stdin.once('close', onEnd);
  signal?.addEventListener('abort', onEnd, { once: true });
  stdin.resume();
  try {
    return await promise;
  } finally {
    stdin.off('data', onData);
    stdin.off('end', onEnd);
    stdin.off('close', onEnd);
    signal?.removeEventListener('abort', onEnd);
    stdin.pause();
  }
}

/** What was typed before anybody asked, also where no line was ended yet: it is no answer. */
async function dropTyped(stdin: Terminal): Promise<string> {
  if (stdin.isTTY !== true) return '';
  let dropped = '';
  const onData = (chunk: Buffer | string) => {
    dropped += chunk.toString().slice(0, 256);
  };
  stdin.setRawMode?.(true);
  stdin.on('data', onData);
  stdin.resume();
  await sleep(drainMs);
  stdin.off('data', onData);
  stdin.pause();
  stdin.setRawMode?.(false);
  return dropped;
}
