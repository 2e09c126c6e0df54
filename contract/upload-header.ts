import { isPathText, isProperText } from './path-bytes.ts';
import type { UploadHeader } from './snapshot.ts';

export const uploadHeaderBytesMax = 16_384;

/**
 * The same question as the schema `UploadHeader` of `snapshot.ts`, asked by hand: an upload has one
 * header for each of its files, and the threads that read them start in half the time without zod.
 */
export function isUploadHeader(value: unknown): value is UploadHeader {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const header = value as { [key: string]: unknown };
  const { type, path, digest } = header;
  if (type === 'end') return isCount(header['entries']) && keysOf(header) === 2;
  if (typeof path !== 'string' || path.length > textMax || !isPathText(path)) return false;
  if (type === 'dir') return keysOf(header) === 2;
  if (type === 'symlink') {
    const { target } = header;
    return (
      typeof target === 'string' &&
      target.length <= textMax &&
      isProperText(target) &&
      keysOf(header) === 3
    );
  }
  return (
    type === 'file' &&
    typeof header['executable'] === 'boolean' &&
    isCount(header['bytes']) &&
    typeof header['content'] === 'boolean' &&
    (digest === undefined || (typeof digest === 'string' && digestForm.test(digest))) &&
    keysOf(header) === (Object.hasOwn(header, 'digest') ? 6 : 5)
  );
}

const textMax = 8192;
const digestForm = /^sha256:[0-9a-f]{64}$/;

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function keysOf(header: object): number {
  return Object.keys(header).length;
}
