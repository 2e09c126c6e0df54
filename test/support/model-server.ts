import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A request as it came, byte for byte in its body. */
export type Asked = {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
};

/** What the server does with one request; it has the whole socket for itself. */
export type Reply = (answer: Answering) => Promise<void> | void;

/** The socket under an answer, down to single bytes. */
export class Answering {
  readonly asked: Asked;
  readonly #response: ServerResponse;
  /** Ends when the caller goes away. */
  readonly signal: AbortSignal;

  constructor(asked: Asked, response: ServerResponse) {
    this.asked = asked;
    this.#response = response;
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    this.signal = gone.signal;
  }

  head(status: number, headers: Record<string, string> = {}): void {
    this.#response.writeHead(status, headers);
    this.#response.flushHeaders();
  }

  /** Resolves when the kernel has them. */
  async bytes(bytes: string | Uint8Array): Promise<void> {
    if (this.signal.aborted) return;
    await new Promise<void>((resolve) => this.#response.write(bytes, () => resolve()));
  }

  end(): void {
    this.#response.end();
  }

  /** In the middle of whatever it was. */
  cut(): void {
    this.#response.destroy();
  }

  /** Says nothing until the caller goes away. */
  async silence(): Promise<void> {
    await sleep(60_000, undefined, { signal: this.signal }).catch(() => {});
    this.#response.destroy();
  }
}

/**
 * A server that speaks the wire protocols of the providers, scripted by number of the request. The
 * last reply goes on for all that come after it.
 */
export class ModelServer implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly #script: Reply[];
  readonly #server;

  private constructor(script: Reply[]) {
    this.#script = script;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const asked: Asked = {
          method: request.method ?? '',
          path: request.url ?? '',
          headers: request.headers,
          body: readBody(Buffer.concat(chunks)),
        };
        const at = this.asked.push(asked) - 1;
        const reply = this.#script[Math.min(at, this.#script.length - 1)] ?? status(404);
        void Promise.resolve(reply(new Answering(asked, response))).catch(() => response.destroy());
      });
      request.on('error', () => response.destroy());
    });
  }

  static async open(...script: Reply[]): Promise<ModelServer> {
    const one = new ModelServer(script);
    await new Promise<void>((resolve) => one.#server.listen(0, '127.0.0.1', resolve));
    return one;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function readBody(bytes: Buffer): Record<string, unknown> {
  try {
    return JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** A plain answer, as an error has it. */
export function status(
  code: number,
  body: unknown = {},
  headers: Record<string, string> = {},
): Reply {
  return async (answer) => {
    answer.head(code, { 'content-type': 'application/json', ...headers });
    await answer.bytes(JSON.stringify(body));
    answer.end();
  };
}

export type StreamOptions = {
  /** How many bytes go out at once; a piece may end within a character. */
  pieceBytes?: number;
  /** Between the pieces, ms. */
  pauseMs?: number;
  headers?: Record<string, string>;
  /** After the last piece, in place of a clean end. */
  ending?: 'cut' | 'silence';
};

/** Server-sent events, as they are or in pieces. */
export function stream(events: readonly string[], options: StreamOptions = {}): Reply {
  const { pieceBytes = Infinity, pauseMs = 0, headers = {}, ending } = options;
  const bytes = Buffer.from(events.join(''));
  return async (answer) => {
    answer.head(200, { 'content-type': 'text/event-stream', ...headers });
    for (let at = 0; at < bytes.length && !answer.signal.aborted; at += pieceBytes) {
      await answer.bytes(bytes.subarray(at, at + pieceBytes));
      if (pauseMs > 0) await sleep(pauseMs);
    }
    if (ending === 'cut') answer.cut();
    else if (ending === 'silence') await answer.silence();
    else answer.end();
  };
}

export function named(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

export type Words = {
  text: string;
  /** Why it stopped, in the words of the protocol; the usual one if left out. */
  stop?: string;
  input?: number;
  output?: number;
};

const wordLength = 7;

function words(text: string): string[] {
  return text === '' ? [] : (text.match(new RegExp(`[^]{1,${wordLength}}`, 'gu')) ?? []);
}

/** One way to say things: the events of a whole answer, in the shape of one provider. */
export type Protocol = {
  kind: 'anthropic' | 'openai' | 'compatible';
  path: string;
  /** Everything up to the first word. */
  begin(said: Words): string[];
  word(text: string): string;
  /** Everything after the last word, the final event among it. */
  finish(said: Words): string[];
  /** What a full output is called. */
  truncated: string;
  /** An answer that is a refusal. */
  refuse(): string[];
  /** An error in the middle of a stream. */
  broken(): string[];
};

/** The shapes of Messages, as SDK 1.12.0 types them. */
export const anthropic: Protocol = {
  kind: 'anthropic',
  path: '/v1/messages',
  begin: ({ input = 100 }) => [
    named('message_start', {
      type: 'message_start',
      message: {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'scripted',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: input, output_tokens: 1 },
      },
    }),
    named('content_block_start', {
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'text', text: '' },
    }),
    named('ping', { type: 'ping' }),
  ],
  word: (text) =>
    named('content_block_delta', {
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'text_delta', text },
    }),
  finish: ({ stop = 'end_turn', output = 50 }) => [
    named('content_block_stop', { type: 'content_block_stop', index: 0 }),
    named('message_delta', {
      type: 'message_delta',
      delta: { stop_reason: stop, stop_sequence: null },
      usage: { output_tokens: output },
    }),
    named('message_stop', { type: 'message_stop' }),
  ],
  truncated: 'max_tokens',
  refuse: () => [
    ...anthropic.begin({ text: '' }),
    ...anthropic.finish({ text: '', stop: 'refusal' }),
  ],
  broken: () => [
    ...anthropic.begin({ text: '' }),
    anthropic.word('{"assum'),
    named('error', { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
  ],
};

let sequence = 0;
function numbered(type: string, data: Record<string, unknown>): string {
  sequence += 1;
  return named(type, { type, sequence_number: sequence, ...data });
}

function response(status: string, more: Record<string, unknown> = {}) {
  return { id: 'resp_1', object: 'response', status, output: [], ...more };
}

/** The shapes of Responses, as SDK 7.57.0 types them. */
export const openai: Protocol = {
  kind: 'openai',
  path: '/v1/responses',
  begin: () => [
    numbered('response.created', { response: response('in_progress') }),
    numbered('response.in_progress', { response: response('in_progress') }),
    numbered('response.output_item.added', {
      output_index: 0,
      item: {
        id: 'item_1',
        type: 'message',
        role: 'assistant',
        status: 'in_progress',
        content: [],
      },
    }),
  ],
  word: (delta) =>
    numbered('response.output_text.delta', {
      item_id: 'item_1',
      output_index: 0,
      content_index: 0,
      delta,
      logprobs: [],
    }),
  finish: ({ stop, input = 100, output = 50 }) => {
    const usage = { input_tokens: input, output_tokens: output, total_tokens: input + output };
    return stop === undefined
      ? [numbered('response.completed', { response: response('completed', { usage }) })]
      : [
          numbered('response.incomplete', {
            response: response('incomplete', { incomplete_details: { reason: stop }, usage }),
          }),
        ];
  },
  truncated: 'max_output_tokens',
  refuse: () => [
    ...openai.begin({ text: '' }),
    numbered('response.refusal.delta', {
      item_id: 'item_1',
      output_index: 0,
      content_index: 0,
      delta: 'No.',
    }),
    ...openai.finish({ text: '' }),
  ],
  broken: () => [
    ...openai.begin({ text: '' }),
    openai.word('{"assum'),
    numbered('response.failed', {
      response: response('failed', { error: { code: 'server_error', message: 'Overloaded' } }),
    }),
  ],
};

function chunk(delta: Record<string, unknown>, more: Record<string, unknown> = {}): string {
  const choices = [{ index: 0, delta, finish_reason: null, ...more }];
  return `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', choices })}\n\n`;
}

/** The shapes of Chat Completions, as local servers speak them. */
export const compatible: Protocol = {
  kind: 'compatible',
  path: '/v1/chat/completions',
  begin: () => [chunk({ role: 'assistant', content: '' })],
  word: (content) => chunk({ content }),
  finish: ({ stop = 'stop', input = 100, output = 50 }) => [
    chunk({}, { finish_reason: stop }),
    `data: ${JSON.stringify({
      id: 'c1',
      object: 'chat.completion.chunk',
      choices: [],
      usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
    })}\n\n`,
    'data: [DONE]\n\n',
  ],
  truncated: 'length',
  refuse: () => [
    ...compatible.begin({ text: '' }),
    ...compatible.finish({ text: '', stop: 'content_filter' }),
  ],
  broken: () => [
    ...compatible.begin({ text: '' }),
    compatible.word('{"assum'),
    `data: ${JSON.stringify({ error: { message: 'Overloaded', type: 'server_error', code: 'overloaded' } })}\n\n`,
  ],
};

export const protocols: readonly Protocol[] = [anthropic, openai, compatible];

/** A whole answer that says `text`. */
export function says(protocol: Protocol, said: Words | string, options: StreamOptions = {}): Reply {
  const whole = typeof said === 'string' ? { text: said } : said;
  return stream(
    [
      ...protocol.begin(whole),
      ...words(whole.text).map((piece) => protocol.word(piece)),
      ...protocol.finish(whole),
    ],
    options,
  );
}

/** The first words, and then no more events: what comes after that is in the options. */
export function begins(protocol: Protocol, text: string, options: StreamOptions = {}): Reply {
  return stream(
    [...protocol.begin({ text }), ...words(text).map((piece) => protocol.word(piece))],
    options,
  );
}
