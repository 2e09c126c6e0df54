/**
 * How output lies on disk: a title, then frames of milliseconds since the start (4 bytes), stream
 * (1), three zero bytes, length (4) and so many bytes; numbers have their high byte first. A task
 * chooses the bytes of a frame and nothing else of it.
 */
export const title = Buffer.from('orchestra-output 1\n');
export const frameHeaderBytes = 12;
export const frameBytesMax = 1 << 20;

export type FrameHeader = { t: number; s: 0 | 1 | 2; length: number };

export function writeHeader(into: Buffer, at: number, { t, s, length }: FrameHeader): void {
  into.writeUInt32BE(Math.min(t, 0xffff_ffff), at);
  into.writeUInt32BE(s * 0x100_0000, at + 4);
  into.writeUInt32BE(length, at + 8);
}

/** `undefined` for what this daemon never wrote. */
export function readHeader(from: Buffer): FrameHeader | undefined {
  const length = from.readUInt32BE(8);
  const s = from.readUInt8(4);
  if (from.readUIntBE(5, 3) !== 0 || length < 1 || length > frameBytesMax) return undefined;
  if (s !== 0 && s !== 1 && s !== 2) return undefined;
  return { t: from.readUInt32BE(0), s, length };
}
