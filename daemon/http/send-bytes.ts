import type { ServerResponse } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';

/**
 * Answers with bytes as they come, written to the connection itself: a web stream in between costs
 * more than all the rest where there is much of them. One block is on its way while the next is
 * made, never more, so a source may use a block's memory again once the next but one is asked for
 * and a slow reader holds nothing but two blocks. A source that fails breaks the connection off:
 * the caller sees that there was no end.
 */
export async function sendBytes(
  outgoing: ServerResponse,
  source: AsyncIterable<Uint8Array>,
  headers: Readonly<Record<string, string>>,
): Promise<Response> {
  outgoing.writeHead(200, { 'x-content-type-options': 'nosniff', ...headers });
  // A reader knows at once that it is being served.
  outgoing.flushHeaders();
  if (outgoing.req.method === 'HEAD') outgoing.end();
  else {
    await sendAll(outgoing, source).catch((cause: unknown) => outgoing.destroy(cause as Error));
  }
  return RESPONSE_ALREADY_SENT;
}

async function sendAll(outgoing: ServerResponse, source: AsyncIterable<Uint8Array>): Promise<void> {
  // Two at most. A write that was under way when the caller left may never be answered.
  const waiting = new Set<(cause: Error) => void>();
  outgoing.once('close', () => {
    for (const leave of waiting) leave(new Error('the caller went away'));
  });
  const written = (block: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting.add(reject);
      outgoing.write(block, (cause) => {
        waiting.delete(reject);
        if (cause) reject(cause);
        else resolve();
      });
    });
  let last: Promise<void> | undefined;
  for await (const block of source) {
    const next = written(block);
    // Awaited one round later; until then a failure is nobody's.
    next.catch(() => undefined);
    await last;
    last = next;
  }
  await last;
  outgoing.end();
}
