/** Limits of one line. The writer stops well below what the reader accepts. */
export const lineBytesMax = 65_535;
export const depthMax = 6;
export const zeroHash = '0'.repeat(64);

/** How far wall clock and monotonic clock may part between two records without a `clock.jump`. */
export const jumpMsMax = 2_000;
