import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';

export type TarFile = {
  name: string;
  sha256: string;
  bytes: number;
  /** Undefined for what `keep` did not ask for. */
  content: Buffer | undefined;
};

export type TarLimits = {
  files: number;
  /** Of all content together. */
  bytes: number;
  /** Whose content is wanted as well; at most `keptBytes` of all together. */
  keep?: (name: string, bytes: number) => boolean;
  keptBytes?: number;
};

/** Said of an archive that nobody should have made this way. */
export class BadTar extends Error {}

/**
 * Every file of a tar by its name, hashed as it passes. Folders are passed over. A link, a device, a
 * name that is there twice or that leads outwards, and anything past the limits is refused.
 */
export async function tarFiles(source: Readable, limits: TarLimits): Promise<Map<string, TarFile>> {
  const found = new Map<string, TarFile>();
  const { keep, keptBytes = 16 * 1024 * 1024 } = limits;
  let total = 0;
  let kept = 0;
  const archive = extract();
  const reading = (async () => {
    for await (const entry of archive) {
      const { type, name: raw, size } = entry.header;
      if (type === 'directory') {
        entry.resume();
        continue;
      }
      const name = cleanName(raw);
      if (type !== 'file') throw new BadTar(`${shown(raw)} is no file but a ${type}`);
      if (found.has(name)) throw new BadTar(`${shown(name)} is there twice`);
      if (found.size >= limits.files) throw new BadTar(`more than ${limits.files} files`);
      const hash = createHash('sha256');
      const chunks: Buffer[] | undefined = keep?.(name, size) === true ? [] : undefined;
      let bytes = 0;
      for await (const chunk of entry as AsyncIterable<Buffer>) {
        hash.update(chunk);
        bytes += chunk.length;
        total += chunk.length;
        if (total > limits.bytes) throw new BadTar(`more than ${limits.bytes} bytes`);
        if (chunks === undefined) continue;
        kept += chunk.length;
        if (kept > keptBytes) throw new BadTar(`more than ${keptBytes} bytes of descriptions`);
        chunks.push(chunk);
      }
      const content = chunks && Buffer.concat(chunks);
      found.set(name, { name, sha256: hash.digest('hex'), bytes, content });
    }
  })();
  const [fed, read] = await Promise.allSettled([pipeline(source, archive), reading]);
  if (read.status === 'rejected') throw read.reason;
  if (fed.status === 'rejected') throw fed.reason;
  return found;
}

function cleanName(raw: string): string {
  const name = raw.replace(/^\.\//, '');
  const parts = name.split('/');
  if (name === '' || name.includes('\0') || parts.some((part) => ['', '.', '..'].includes(part))) {
    throw new BadTar(`${shown(raw)} leads out of it`);
  }
  return name;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
