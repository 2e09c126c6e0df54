import { z } from 'zod';

const second = 1000;
const durations: Readonly<Record<string, number>> = {
  ms: 1,
  s: second,
  m: 60 * second,
  h: 3600 * second,
  d: 86_400 * second,
};
const sizes: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** Reads `90s`, `10m`, `1h30m`, `250ms`; undefined when it is not a duration above zero. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d{1,9}(?:ms|[smhd]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, value, unit] of text.matchAll(/(\d+)(ms|[smhd])/g)) {
    total += Number(value) * (durations[unit ?? ''] ?? Number.NaN);
  }
  return total > 0 && Number.isSafeInteger(total) ? total : undefined;
}

/** Reads `512MiB`, `2GiB`, `100B`; undefined when it is not a size. Decimal units do not exist here. */
function parseSize(text: string): number | undefined {
  const found = /^(\d{1,16})(B|KiB|MiB|GiB|TiB)$/.exec(text);
  if (!found) return undefined;
  const total = Number(found[1]) * (sizes[found[2] ?? ''] ?? Number.NaN);
  return Number.isSafeInteger(total) ? total : undefined;
}

/** 1,500 → `1.5s`, 62,000 → `1m02s`. For people; never parsed again. */
export function formatDuration(ms: number): string {
  if (ms < second) return `${Math.round(ms)}ms`;
  if (ms < 60 * second) return `${(ms / second).toFixed(1)}s`;
  const whole = Math.round(ms / second);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}h${two(m)}m` : `${m}m${two(s)}s`;
}

/** 1,536 → `1.5 KiB`. */
export function formatSize(bytes: number): string {
  const units = Object.entries(sizes).reverse();
  const [unit, factor] = units.find(([, size]) => bytes >= size) ?? ['B', 1];
  const value = bytes / factor;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
}

/** 5,400,000 → `1h30m`: what `parseDuration` reads back exactly. */
export function spellDuration(ms: number): string {
  let rest = ms;
  let text = '';
  for (const [unit, size] of Object.entries(durations).reverse()) {
    const whole = Math.floor(rest / size);
    if (whole > 0) text += `${whole}${unit}`;
    rest -= whole * size;
  }
  return text === '' ? '0ms' : text;
}

/** 1,536 MiB in bytes → `1536MiB`: what `parseSize` reads back exactly. */
export function spellSize(bytes: number): string {
  const units = Object.entries(sizes).reverse();
  const [unit, size] = units.find(([, size]) => bytes >= size && bytes % size === 0) ?? ['B', 1];
  return `${bytes / size}${unit}`;
}

// Timers of the runtime count in 32 bits; a longer one would fire at once.
const durationMax = 24 * 86_400_000;

/** A duration in a document: text such as `10m`, in milliseconds after parsing. */
export const Duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms === undefined) {
    context.addIssue({ code: 'custom', message: 'not a duration, write 90s, 10m or 1h30m' });
    return z.NEVER;
  }
  if (ms > durationMax) {
    context.addIssue({ code: 'custom', message: 'longer than 24d' });
    return z.NEVER;
  }
  return ms;
});

/** A size in a document: text such as `512MiB`, in bytes after parsing. */
export const Size = z.string().transform((text, context) => {
  const bytes = parseSize(text);
  if (bytes === undefined) {
    context.addIssue({ code: 'custom', message: 'not a size, write 512MiB or 2GiB' });
    return z.NEVER;
  }
  return bytes;
});
