import type { IncomingMessage } from 'node:http';
import { OrchestraError } from '#contract/errors.ts';

export const jsonBytesMax = 48 * 1024 * 1024;

/** Reads a JSON body; refuses it by its declared length first, and again while it arrives. */
export async function readJson(incoming: IncomingMessage, bytesMax: number): Promise<unknown> {
  const bytes = await readBytes(incoming, bytesMax);
  if (bytes.length === 0) return {};
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new OrchestraError('request.invalid', 'The body is not JSON in UTF-8', { cause });
  }
}

/** The same for a body that is no JSON. */
export async function readBytes(incoming: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const declared = Number(incoming.headers['content-length'] ?? '0');
  if (declared > bytesMax) throw tooLarge(bytesMax);
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The refusal still has to be answered on this connection, so leaving early keeps it open.
  const parts = incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  try {
    for await (const chunk of parts) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw tooLarge(bytesMax);
      chunks.push(chunk);
    }
  } catch (error) {
    throw isCutOff(error) ? cutOff(error) : error;
  }
  return Buffer.concat(chunks);
}

/** Whoever called went away in the middle of the body: no fault of the daemon's. */
function isCutOff(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ECONNRESET';
}

function cutOff(cause: unknown): OrchestraError {
  return new OrchestraError('request.invalid', 'The body ended before its end', { cause });
}

function tooLarge(bytesMax: number): OrchestraError {
  return new OrchestraError('request.too_large', `The body has more than ${bytesMax} bytes`);
}
