import { open } from 'node:fs/promises';
import { OrchestraError, type ErrorCode } from '#contract/errors.ts';

/**
 * The text of a file that the user named, which may be a pipe or a device: never more than
 * `bytesMax` bytes are read of it, and bytes that are no UTF-8 are refused instead of replaced.
 * An error of the file system comes out as it is.
 */
export async function readTextFile(
  file: string,
  { bytesMax, code, shown = file }: { bytesMax: number; code: ErrorCode; shown?: string },
): Promise<string> {
  const bytes = await readAtMost(file, bytesMax + 1);
  if (bytes.length > bytesMax) {
    throw new OrchestraError(code, `The file ${shown} is larger than ${bytesMax} bytes`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new OrchestraError(code, `The file ${shown} is not text in UTF-8`, { cause });
  }
}

/** All that comes from standard input, whole: at most `bytesMax` bytes, or `usage.invalid`. */
export async function readInput(stdin: AsyncIterable<unknown>, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stdin) {
    const chunk = Buffer.isBuffer(part) ? part : Buffer.from(String(part));
    bytes += chunk.length;
    if (bytes > bytesMax) {
      throw new OrchestraError('usage.invalid', `The value is larger than ${bytesMax} bytes`);
    }
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

async function readAtMost(file: string, bytesMax: number): Promise<Buffer> {
  await using handle = await open(file);
  const chunks: Buffer[] = [];
  let left = bytesMax;
  while (left > 0) {
    const chunk = Buffer.allocUnsafe(Math.min(left, 256 * 1024));
    const { bytesRead } = await handle.read(chunk);
    if (bytesRead === 0) break;
    chunks.push(chunk.subarray(0, bytesRead));
    left -= bytesRead;
  }
  return Buffer.concat(chunks);
}
