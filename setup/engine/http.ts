import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Where an engine listens: a unix socket, or an address of plain TCP. */
export type Endpoint = { socketPath: string } | { hostname: string; port: number };

export type Question = {
  method?: 'GET' | 'POST' | 'DELETE';
  path: string;
  body?: Readable;
  headers?: OutgoingHttpHeaders;
  /** Until the head of the answer is here; sending the body counts too. */
  timeoutMs: number;
};

const answerMax = 8 * 1024 * 1024;

/** Asks an engine one question. The caller consumes or destroys the answer. */
export async function ask(endpoint: Endpoint, question: Question): Promise<IncomingMessage> {
  const { method = 'GET', path, body, headers, timeoutMs } = question;
  // `Host` is checked by some engines; the socket itself says which one is meant.
  const outgoing = request({
    ...endpoint,
    method,
    path,
    agent: false,
    headers: { Host: 'engine', ...headers },
  });
  const timer = setTimeout(() => {
    outgoing.destroy(new Error(`no answer within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  try {
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject);
    });
    if (body === undefined) {
      outgoing.end();
      return await answer;
    }
    const [response] = await Promise.all([answer, pipeline(body, outgoing)]);
    return response;
  } finally {
    clearTimeout(timer);
  }
}

/** The whole answer as text, refused above 8 MiB and after `timeoutMs`. */
export async function readText(answer: IncomingMessage, timeoutMs: number): Promise<string> {
  const timer = setTimeout(() => {
    answer.destroy(new Error(`the answer did not end within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > answerMax) throw new Error(`the answer is above ${answerMax} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    clearTimeout(timer);
  }
}

/** Asks and parses; `undefined` for 404. Any other refusal throws what the engine said. */
export async function askJson(endpoint: Endpoint, question: Question): Promise<unknown> {
  const answer = await ask(endpoint, question);
  const text = await readText(answer, question.timeoutMs);
  const status = answer.statusCode ?? 0;
  if (status === 404) return undefined;
  if (status < 200 || status > 299) {
    throw new Error(`the engine answered ${status}: ${text.trim().slice(0, 500)}`);
  }
  return text.trim() === '' ? null : (JSON.parse(text) as unknown);
}
