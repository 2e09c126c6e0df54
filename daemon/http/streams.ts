import { Readable } from 'node:stream';
import type { LogLine } from '../audit/types.ts';

const heartbeatMs = 15_000;

/**
 * Records as server-sent events: `id` is the sequence number, `event` the type, `data` the exact
 * line of the log. A comment every 15 s keeps the connection known to be alive.
 */
export function eventStream(lines: AsyncIterable<LogLine>): Response {
  return new Response(web(heartbeats(lines)), {
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
  });
}

export function bytesResponse(
  source: AsyncIterable<Uint8Array>,
  headers: Readonly<Record<string, string>>,
): Response {
  return new Response(web(source), {
    headers: { 'x-content-type-options': 'nosniff', ...headers },
  });
}

function web(source: AsyncIterable<Uint8Array | string>): ReadableStream {
  return Readable.toWeb(Readable.from(source, { objectMode: false })) as ReadableStream;
}

async function* heartbeats(lines: AsyncIterable<LogLine>): AsyncGenerator<string> {
  const reader = lines[Symbol.asyncIterator]();
  let next = reader.next();
  try {
    // Headers go out with the first byte: a reader knows at once that it is being served.
    yield ': orchestra\n\n';
    for (;;) {
      const beat = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => beat.resolve(undefined), heartbeatMs);
      const found = await Promise.race([next, beat.promise]).finally(() => clearTimeout(timer));
      if (found === undefined) {
        yield ': still here\n\n';
        continue;
      }
      if (found.done === true) {
        yield 'event: end\ndata: {}\n\n';
        return;
      }
      const { record, line } = found.value;
      yield `id: ${record.seq}\nevent: ${record.type}\ndata: ${line}\n\n`;
      next = reader.next();
    }
  } finally {
    await reader.return?.();
  }
}
