import { headerOf, padding, type TarEntry } from '#daemon/workspace/copies/tar-header.ts';
import { TarReader } from '#daemon/workspace/copies/tar-reader.ts';

type Kept = { entry: TarEntry; bytes: Buffer };

/** A volume of an engine without disks: what came in as a tar stream, to be changed and sent back. */
export class FakeVolume {
  /** By path; the directory itself is not among them. */
  readonly entries = new Map<string, Kept>();

  static async of(tar: AsyncIterable<Uint8Array>): Promise<FakeVolume> {
    const volume = new FakeVolume();
    let now: { entry: TarEntry; parts: Buffer[] } | undefined;
    const reader = new TarReader({
      entry: (entry) => (now = { entry, parts: [] }),
      content: (bytes) => void now?.parts.push(Buffer.from(bytes)),
      done: () => {
        const path = now?.entry.name.replace(/\/$/, '') ?? '';
        if (now && path !== '') {
          volume.entries.set(path, { entry: now.entry, bytes: Buffer.concat(now.parts) });
        }
      },
    });
    for await (const piece of tar) reader.take(Buffer.from(piece));
    reader.end();
    return volume;
  }

  write(path: string, text: string): void {
    const bytes = Buffer.from(text);
    const about = { kind: 'file', name: path, target: '', mode: 0o644, mtime: 0 } as const;
    this.entries.set(path, { entry: { ...about, size: bytes.length }, bytes });
  }

  /** As an engine tells it: everything beneath a directory of this name. */
  async *tar(root: string): AsyncGenerator<Uint8Array> {
    const owner = { uid: 1000, gid: 1000 };
    const about = { kind: 'dir', name: `${root}/`, target: '', mode: 0o755, size: 0 } as const;
    yield await Promise.resolve(headerOf({ ...about, mtime: 0 }, owner));
    for (const [path, { entry, bytes }] of this.entries) {
      yield headerOf({ ...entry, name: `${root}/${path}` }, owner);
      yield Buffer.concat([bytes, Buffer.alloc(padding(bytes.length))]);
    }
    yield Buffer.alloc(1024);
  }
}
