import { ModelTrouble } from './trouble.ts';

export type Guard = {
  /** Nothing beside it and beneath it is called. */
  baseUrl: URL;
  /** Takes the place of whatever the SDK would send; undefined: none is sent. */
  authorization: string | undefined;
  answerBytesMax: number;
  /** Hears of every piece of an answer. */
  alive: () => void;
};

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/**
 * The only door from an SDK to the network. To one address; without following anybody elsewhere;
 * with headers that are named here, so that neither the environment nor an SDK adds any (they
 * would tell of the machine, or carry credentials that nobody configured); and no more of an
 * answer than fits, which has to be UTF-8.
 */
export function guardedFetch(guard: Guard): Fetch {
  const { baseUrl, authorization } = guard;
  const within = baseUrl.pathname.endsWith('/') ? baseUrl.pathname : `${baseUrl.pathname}/`;
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.origin !== baseUrl.origin || !url.pathname.startsWith(within)) {
      throw new ModelTrouble('config', 'the request would have gone elsewhere');
    }
    const given = new Headers(init.headers);
    const headers = new Headers({ 'user-agent': 'orchestra' });
    for (const name of passed) {
      const value = given.get(name);
      if (value !== null) headers.set(name, value);
    }
    if (authorization !== undefined) headers.set('authorization', authorization);
    // `manual`: with `follow` the key would go along to wherever a redirection points on the same
    // host, and the question to any host.
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    if (answer.status >= 300 && answer.status < 400) {
      await answer.body?.cancel();
      throw new ModelTrouble('config', `it points elsewhere (${answer.status}); nothing follows`);
    }
    if (answer.body === null) return answer;
    const body = answer.body.pipeThrough(onlyText(guard));
    const { status, statusText } = answer;
    return new Response(body, { status, statusText, headers: answer.headers });
  };
}

const passed = ['accept', 'content-type', 'anthropic-version'];

// The decoders of the SDKs would put a mark for what is not UTF-8, and go on.
function onlyText({
  answerBytesMax: bytesMax,
  alive,
}: Guard): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const check = (chunk?: Uint8Array) => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined });
    } catch {
      throw new ModelTrouble('invalid', 'the answer is not UTF-8');
    }
  };
  let bytes = 0;
  return new TransformStream({
    transform(chunk, controller) {
      alive();
      bytes += chunk.length;
      if (bytes > bytesMax) {
        throw new ModelTrouble('too_large', `the answer is larger than ${bytesMax} bytes`);
      }
      check(chunk);
      controller.enqueue(chunk);
    },
    flush() {
      check();
    },
  });
}
