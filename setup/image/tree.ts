import path from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';

export type TreeEntry = { uid?: number; gid?: number } & (
  | { type: 'file'; mode: number; content: Buffer }
  | { type: 'symlink'; target: string }
  | { type: 'directory'; mode: number }
);

/**
 * The files of an image, by path without a leading slash. Folders that are not named are made with
 * mode 755. What is put twice is a mistake of the recipe, and refused.
 */
export class Tree {
  readonly #entries = new Map<string, TreeEntry>();

  put(name: string, entry: TreeEntry): void {
    if (path.posix.normalize(name) !== name || name.startsWith('/') || name.startsWith('..')) {
      throw new Error(`not a clean relative path: ${name}`);
    }
    const before = this.#entries.get(name);
    if (before !== undefined && before.type !== 'directory') {
      throw new Error(`put twice: ${name}`);
    }
    for (let dir = path.posix.dirname(name); dir !== '.'; dir = path.posix.dirname(dir)) {
      if (!this.#entries.has(dir)) this.#entries.set(dir, { type: 'directory', mode: 0o755 });
    }
    this.#entries.set(name, entry);
  }

  file(name: string, content: Buffer | string, mode = 0o644): void {
    this.put(name, { type: 'file', mode, content: Buffer.from(content) });
  }

  symlink(name: string, target: string): void {
    this.put(name, { type: 'symlink', target });
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** What lies right in a folder, by path. */
  in(dir: string): string[] {
    return [...this.#entries.keys()].filter((name) => path.posix.dirname(name) === dir);
  }

  /** The content of a program, behind its links; undefined where there is none. */
  executable(name: string): Buffer | undefined {
    let at = name;
    for (let links = 0; links < 8; links += 1) {
      const entry = this.#entries.get(at);
      if (entry?.type === 'file') return (entry.mode & 0o111) === 0 ? undefined : entry.content;
      if (entry?.type !== 'symlink') return undefined;
      const target = path.posix.resolve('/', path.posix.dirname(at), entry.target);
      at = target.slice(1);
    }
    return undefined;
  }

  /**
   * Writes a tar of the whole tree. The same tree gives the same bytes: sorted by name, no times,
   * numeric owners only.
   */
  async write(to: Writable): Promise<void> {
    const archive = pack();
    const names = [...this.#entries.keys()].sort((a, b) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
    );
    const feed = async () => {
      for (const name of names) {
        const entry = this.#entries.get(name);
        if (entry !== undefined) await add(archive, name, entry);
      }
      archive.finalize();
    };
    await Promise.all([feed(), pipeline(archive, to)]);
  }
}

async function add(
  archive: ReturnType<typeof pack>,
  name: string,
  entry: TreeEntry,
): Promise<void> {
  const owner = { uid: entry.uid ?? 0, gid: entry.gid ?? 0, mtime: new Date(0) };
  await new Promise<void>((resolve, reject) => {
    const done = (error?: Error | null) => (error ? reject(error) : resolve());
    switch (entry.type) {
      case 'file':
        archive.entry({ ...owner, name, type: 'file', mode: entry.mode }, entry.content, done);
        break;
      case 'symlink':
        archive.entry(
          { ...owner, name, type: 'symlink', mode: 0o777, linkname: entry.target },
          done,
        );
        break;
      case 'directory':
        archive.entry({ ...owner, name: `${name}/`, type: 'directory', mode: entry.mode }, done);
        break;
    }
  });
}
