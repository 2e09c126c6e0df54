import type { Readable, Writable } from 'node:stream';
import { lineBytesMax, type Question, type Refusal, type Reply } from './protocol.ts';
import { Refused, type Signer } from './signer.ts';

/**
 * Answers the questions of one peer in order, until its stream ends. A line that is no question is
 * answered and ends it: what follows could be anything.
 */
export async function serve(signer: Signer, input: Readable, output: Writable): Promise<void> {
  for await (const line of linesOf(input)) {
    const question = line === undefined ? undefined : parseQuestion(line);
    const reply =
      question === undefined
        ? refused(0, 'malformed', 'that is no question')
        : await replyTo(signer, question);
    output.write(`${JSON.stringify(reply)}\n`);
    if (question === undefined) return;
  }
}

async function replyTo(signer: Signer, { id, ...question }: Asked): Promise<Reply> {
  try {
    return { id, answer: await signer.ask(question) };
  } catch (error) {
    if (error instanceof Refused) return refused(id, error.refusal, error.message);
    process.stderr.write(`orchestra-signer: ${String(error)}\n`);
    return refused(id, 'failed', 'the signer could not do it, see its own log');
  }
}

function refused(id: number, refusal: Refusal, why: string): Reply {
  return { id, refused: refusal, why };
}

type Asked = Question & { id: number };

/** Closed: a question with anything missing, of another kind or too long is none. */
function parseQuestion(line: string): Asked | undefined {
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof said !== 'object' || said === null || !isCount(said['id'])) return undefined;
  const { op } = said;
  if (typeof op !== 'string' || !Object.hasOwn(shapes, op)) return undefined;
  const shape: Record<string, (value: unknown) => boolean> = shapes[op as keyof typeof shapes];
  const isWhole = Object.entries(shape).every(([key, fits]) => fits(said[key]));
  return isWhole ? (said as Asked) : undefined;
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown) => typeof value === 'string';
const isOrigin = (value: unknown) =>
  typeof value === 'string' && /^[\w./-]{1,128}$/.test(value) && !/\s/.test(value);
const isProof = (value: unknown) => Array.isArray(value) && value.every(isText);
function isGoneKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { epoch, vkey, size, root } = value as Record<string, unknown>;
  return isCount(epoch) && isText(vkey) && isCount(size) && isText(root);
}
const continuation = {
  origin: isOrigin,
  size: isCount,
  root: isText,
  from: isCount,
  proof: isProof,
};
const shapes = {
  hello: {},
  init: {
    origin: isOrigin,
    follows: (value: unknown) => value === undefined || isGoneKey(value),
  },
  sign: continuation,
  prepare: { origin: isOrigin },
  rotate: { ...continuation, record: isText, inclusion: isProof },
} as const satisfies Record<Question['op'], Record<string, (value: unknown) => boolean>>;

/** Lines without their line feed; undefined, and the end, where one is too long. */
async function* linesOf(input: Readable): AsyncGenerator<string | undefined, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of input as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      if (end > lineBytesMax) break;
      yield rest.toString('utf8', 0, end);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > lineBytesMax) {
      yield undefined;
      return;
    }
  }
}
