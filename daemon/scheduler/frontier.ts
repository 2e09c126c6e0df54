import { dependentsOf, type Node } from './graph.ts';

/** What an end makes possible, and what it makes impossible: who will never run, and because of whom. */
export type Opened<T> = { ready: T[]; skipped: { node: T; because: string }[] };

/** The line between what of a graph is over and what is not: which nodes may start. */
export class Frontier<T extends Node> {
  #dependents: ReadonlyMap<string, readonly T[]>;
  #missing: Map<string, number>;
  #unstarted: Map<string, T>;
  /** Ended, before or here. */
  readonly #over: Map<string, boolean>;
  readonly #begun = new Set<string>();
  /** Those that were said to be ready. */
  readonly #offered = new WeakSet<T>();

  /** `over`: ids that ended before; true where the way of what depends on them is open. */
  constructor(nodes: readonly T[], over: ReadonlyMap<string, boolean> = new Map()) {
    this.#dependents = dependentsOf(nodes);
    this.#missing = new Map(nodes.map((node) => [node.id, new Set(node.deps).size]));
    this.#unstarted = new Map(nodes.map((node) => [node.id, node]));
    this.#over = new Map(over);
    for (const id of over.keys()) this.#unstarted.delete(id);
  }

  /** The nodes that neither began nor were skipped, in the order in which they were given. */
  get unstarted(): T[] {
    return [...this.#unstarted.values()];
  }

  /** Once, before anything begins. */
  start(): Opened<T> {
    const skipped: Opened<T>['skipped'] = [];
    // As they are now: what is skipped on the way joins them.
    const before = Array.from(this.#over);
    for (const [id, isOpen] of before) {
      if (isOpen) this.#countDown(id);
      else skipped.push(...this.#close(id));
    }
    return { ready: this.#offer(this.unstarted), skipped };
  }

  /** False where the graph has no such node to begin any more: it was amended meanwhile. */
  begin(node: T): boolean {
    if (this.#unstarted.get(node.id) !== node) return false;
    this.#begun.add(node.id);
    return this.#unstarted.delete(node.id);
  }

  end(id: string, isOpen: boolean): Opened<T> {
    this.#over.set(id, isOpen);
    if (!isOpen) return { ready: [], skipped: this.#close(id) };
    return { ready: this.#offer(this.#countDown(id)), skipped: [] };
  }

  /**
   * `ended` is over without having opened anything, and there is another graph from now on. What began or ended goes on as it is, whether or not it is in the new
   * graph; what did neither and is not in it is forgotten. A node that is the same object keeps its
   * place in the queue, so its `deps` have to be the same as well.
   */
  amend(ended: string, nodes: readonly T[]): Opened<T> {
    this.#over.set(ended, false);
    this.#dependents = dependentsOf(nodes);
    const isWaiting = ({ id }: T) => !this.#over.has(id) && !this.#begun.has(id);
    this.#unstarted = new Map(nodes.filter(isWaiting).map((node) => [node.id, node]));
    this.#missing = new Map(
      nodes.map(({ id, deps }) => {
        const left = [...new Set(deps)].filter((dep) => this.#over.get(dep) !== true);
        return [id, left.length];
      }),
    );
    const closed = [...this.#over].filter(([, isOpen]) => !isOpen);
    const skipped = closed.flatMap(([id]) => this.#close(id));
    return { ready: this.#offer(this.unstarted), skipped };
  }

  #offer(nodes: readonly T[]): T[] {
    const ready = nodes.filter(
      (node) =>
        this.#missing.get(node.id) === 0 &&
        this.#unstarted.has(node.id) &&
        !this.#offered.has(node),
    );
    for (const node of ready) this.#offered.add(node);
    return ready;
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
        this.#over.set(node.id, false);
        skipped.push({ node, because });
        doomed.push(node.id);
      }
    }
    return skipped;
  }
}
