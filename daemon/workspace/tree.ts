import { bytesOfText } from '#contract/path-bytes.ts';
import type { LayerEntry, TreeEntry } from '#contract/snapshot.ts';

/** `origin` says which directory of a stack really holds the entry. */
export type Placed = { entry: TreeEntry; origin: number };
type Node = { placed: Placed | undefined; children: Map<string, Node> | undefined };

/**
 * A tree as the kernel's overlay would show it. Deleting a directory is one step however much is
 * in it, because a hostile layer may delete many.
 */
export class Tree {
  readonly #root: Node = { placed: undefined, children: new Map() };

  static of(entries: Iterable<TreeEntry>, origin = 0): Tree {
    const tree = new Tree();
    for (const entry of entries) tree.set(entry, origin);
    return tree;
  }

  get(path: string): TreeEntry | undefined {
    return this.#find(path)?.placed?.entry;
  }

  /** A directory keeps what is in it, anything else replaces it. Missing parents are not invented. */
  set(entry: TreeEntry, origin = 0): void {
    const { parent, name } = this.#parentOf(entry.path);
    const old = parent.children?.get(name);
    const children = entry.type === 'dir' ? (old?.children ?? new Map<string, Node>()) : undefined;
    (parent.children ??= new Map()).set(name, { placed: { entry, origin }, children });
  }

  delete(path: string): void {
    const { parent, name } = this.#parentOf(path);
    parent.children?.delete(name);
  }

  has(path: string): boolean {
    return this.#find(path)?.placed !== undefined;
  }

  /** Which directory of the stack holds it; the lowest where nobody knows. */
  origin(path: string): number {
    return this.#find(path)?.placed?.origin ?? 0;
  }

  /** What is directly in a directory, of all of it where `path` is empty. */
  *children(path: string): Generator<TreeEntry> {
    const node = path === '' ? this.#root : this.#find(path);
    for (const child of node?.children?.values() ?? []) {
      if (child.placed !== undefined) yield child.placed.entry;
    }
  }

  /** Lays a sealed layer over this tree; its entries come with parents before children. */
  apply(entries: Iterable<LayerEntry>, origin = 0): this {
    for (const entry of entries) {
      if (entry.type === 'whiteout') this.delete(entry.path);
      else if (entry.type === 'dir') {
        if (entry.opaque === true) this.delete(entry.path);
        this.set({ type: 'dir', path: entry.path }, origin);
      } else this.set(entry, origin);
    }
    return this;
  }

  /** Parents before children. */
  *placed(): Generator<Placed> {
    const ahead: Node[] = [this.#root];
    for (let node = ahead.pop(); node !== undefined; node = ahead.pop()) {
      if (node.placed !== undefined) yield node.placed;
      for (const child of node.children?.values() ?? []) ahead.push(child);
    }
  }

  *entries(): Generator<TreeEntry> {
    for (const placed of this.placed()) yield placed.entry;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const part of bytesOfText(path).split('/')) {
      node = node?.children?.get(part);
      if (node === undefined) return undefined;
    }
    return node;
  }

  #parentOf(path: string): { parent: Node; name: string } {
    const parts = bytesOfText(path).split('/');
    const name = parts.pop() ?? '';
    let node = this.#root;
    for (const part of parts) {
      let next: Node | undefined = node.children?.get(part);
      if (next === undefined) {
        next = { placed: undefined, children: new Map() };
        (node.children ??= new Map()).set(part, next);
      }
      node = next;
    }
    return { parent: node, name };
  }
}

/** The same thing for whoever looks at the path. A link's words count, a directory's content does not. */
export function sameEntry(a: LayerEntry, b: LayerEntry): boolean {
  if (a.type === 'file' && b.type === 'file') {
    return a.digest === b.digest && a.executable === b.executable;
  }
  if (a.type === 'symlink' && b.type === 'symlink') return a.target === b.target;
  if (a.type === 'dir' && b.type === 'dir') return (a.opaque ?? false) === (b.opaque ?? false);
  return a.type === b.type;
}
