import type { Writable } from 'node:stream';

/**
 * Writes a body and ends. One block is on its way while the next is made, never more: whoever makes
 * them may use a block's memory again once the next but one is asked for, and a large body costs no
 * more memory than two blocks.
 */
export async function pump(body: AsyncIterable<Uint8Array>, to: Writable): Promise<void> {
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => undefined);
  to.once('error', gone.reject);
  to.once('close', () => gone.reject(new Error('the connection was closed')));
  const written = (block: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      to.write(block, (cause) => (cause ? reject(cause) : resolve()));
    });
  let last: Promise<void> = Promise.resolve();
  try {
    for await (const block of body) {
      const next = written(block);
      // Awaited one round later; until then a failure is nobody's.
      next.catch(() => undefined);
      await Promise.race([last, gone.promise]);
      last = next;
    }
    await Promise.race([last, gone.promise]);
  } catch (cause) {
    to.destroy(cause as Error);
    throw cause;
  }
  to.end();
}
