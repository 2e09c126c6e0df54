import type { Digest } from '#contract/ids.ts';
import { FrameReader } from '#contract/output-frames.ts';
import type { BlobStore } from '../../artifacts/blobs.ts';
import { OutputTail } from '../../sandbox/output-tail.ts';
import { failureTail } from '../failures/tail.ts';

/** The end of what a task said, from where it is kept; nothing where it said nothing. */
export async function storedTail(
  blobs: Pick<BlobStore, 'open'>,
  output: Digest | undefined,
): Promise<string> {
  if (output === undefined) return '';
  const tail = new OutputTail();
  const reader = new FrameReader();
  for await (const bytes of await blobs.open(output)) {
    for (const part of reader.push(bytes as Uint8Array)) tail.see(part.s, part.bytes);
  }
  return failureTail(tail);
}
