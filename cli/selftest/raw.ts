import { request } from 'node:http';
import { connect } from 'node:net';
import { z } from 'zod';

export type Asked = {
  method?: string;
  path: string;
  body?: string | Buffer;
  headers?: Readonly<Record<string, string | string[]>>;
};

export type RawAnswer = {
  /** 0 where the connection ended without an answer. */
  status: number;
  text: string;
  /** The code of the error table, where the answer is a problem. */
  code: string;
};

const answerMs = 20_000;
const textMax = 1024 * 1024;
const Said = z.looseObject({ code: z.string() });

/** One request on the socket, for what the typed client would never send. */
export async function ask(socketPath: string, asked: Asked): Promise<RawAnswer> {
  const { promise, resolve } = Promise.withResolvers<RawAnswer>();
  let text = '';
  const done = (status: number): void => resolve({ status, text, code: codeIn(text) });
  const call = request(
    {
      socketPath,
      method: asked.method ?? 'GET',
      path: asked.path,
      headers: {
        host: 'orchestra',
        ...(asked.body === undefined
          ? {}
          : {
              'content-type': 'application/json',
              'content-length': String(Buffer.byteLength(asked.body)),
            }),
        ...asked.headers,
      },
      agent: false,
    },
    (answer) => {
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        text += part;
        if (text.length > textMax) answer.destroy();
      });
      answer.on('close', () => done(answer.statusCode ?? 0));
    },
  );
  const timer = setTimeout(() => call.destroy(), answerMs);
  // Without an answer: refused at the door, which the status 0 says.
  call.on('error', () => done(0));
  call.end(asked.body);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    call.destroy();
  }
}

/** Exact bytes on the socket and what comes back first, or nothing until the deadline. */
export async function speak(
  socketPath: string,
  bytes: string | Buffer,
  deadlineMs = 5_000,
): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let heard = '';
  const socket = connect(socketPath);
  const end = (): void => resolve(heard);
  const timer = setTimeout(end, deadlineMs);
  socket.setEncoding('latin1');
  socket.on('data', (part: string) => {
    heard = (heard + part).slice(0, 65_536);
    if (heard.includes('\r\n\r\n')) end();
  });
  socket.on('error', end).on('close', end);
  socket.write(bytes);
  const said = await promise;
  clearTimeout(timer);
  socket.destroy();
  return said;
}

function codeIn(text: string): string {
  try {
    return Said.safeParse(JSON.parse(text)).data?.code ?? '';
  } catch {
    return '';
  }
}
