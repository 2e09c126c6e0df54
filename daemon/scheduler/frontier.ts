import { dependentsOf, type Node } from './graph.ts';

/** What an end makes possible, and what it makes impossible: who will never run, and because of whom. */
export type Opened<T> = { ready: T[]; skipped: { node: T; because: string }[] };

/** The line between what of a graph is over and what is not: which nodes may start. */
export class Frontier<T extends Node> {
  readonly #dependents: ReadonlyMap<string, readonly T[]>;
  readonly #missing: Map<string, number>;
  readonly #unstarted: Map<string, T>;
  readonly #over: ReadonlyMap<string, boolean>;

  /** `over`: ids that ended before; true where the way of what depends on them is open. */
  constructor(nodes: readonly T[], over: ReadonlyMap<string, boolean> = new Map()) {
    this.#dependents = dependentsOf(nodes);
    this.#missing = new Map(nodes.map((node) => [node.id, new Set(node.deps).size]));
    this.#unstarted = new Map(nodes.map((node) => [node.id, node]));
    this.#over = over;
    for (const id of over.keys()) this.#unstarted.delete(id);
  }

  /** The nodes that neither began nor were skipped, in the order in which they were given. */
  get unstarted(): T[] {
    return [...this.#unstarted.values()];
  }

  /** Once, before anything begins. */
  start(): Opened<T> {
    const skipped: Opened<T>['skipped'] = [];
    for (const [id, isOpen] of this.#over) {
      if (isOpen) this.#countDown(id);
      else skipped.push(...this.#close(id));
    }
    return { ready: this.unstarted.filter(({ id }) => this.#missing.get(id) === 0), skipped };
  }

  begin(node: T): void {
    this.#unstarted.delete(node.id);
  }

  end(id: string, isOpen: boolean): Opened<T> {
    if (!isOpen) return { ready: [], skipped: this.#close(id) };
    return {
      ready: this.#countDown(id).filter((node) => this.#unstarted.has(node.id)),
      skipped: [],
    };
  }

  #countDown(id: string): T[] {
    return (this.#dependents.get(id) ?? []).filter((node) => {
      const left = (this.#missing.get(node.id) ?? 0) - 1;
      this.#missing.set(node.id, left);
      return left === 0;
    });
  }

  #close(because: string): Opened<T>['skipped'] {
    const skipped: Opened<T>['skipped'] = [];
    const doomed = [because];
    for (const id of doomed) {
      for (const node of this.#dependents.get(id) ?? []) {
        if (!this.#unstarted.delete(node.id)) continue;
        skipped.push({ node, because });
        doomed.push(node.id);
      }
    }
    return skipped;
  }
}
