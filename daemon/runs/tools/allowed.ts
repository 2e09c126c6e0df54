import type { Digest } from '#contract/ids.ts';
import type { AnyRecord, RecordOf } from '#contract/records.ts';
import type { AdvertisedTool, AllowedTool, ToolStanding } from '#contract/tools.ts';

type Line = AllowedTool & { seq: number };

/**
 * Which programs each user may have in a task without being asked: a fold over the log, and nothing
 * else. A line is for one file in one image: where either changes, there is no line for it.
 */
export class AllowedTools {
  readonly #lines = new Map<number, Map<string, Line>>();
  /** When a name was last taken off a list; what was allowed before, and is said again, is not. */
  readonly #withdrawn = new Map<string, number>();

  fold(record: AnyRecord): void {
    if (record.type === 'tool.allowed') this.#allow(record);
    else if (record.type === 'tool.withdrawn') this.#withdraw(record);
  }

  /** By name, then by when they came. */
  of(uid: number): AllowedTool[] {
    return [...(this.#lines.get(uid)?.values() ?? [])]
      .toSorted((a, b) => (a.name === b.name ? a.seq - b.seq : a.name < b.name ? -1 : 1))
      .map(({ seq: _seq, ...line }) => line);
  }

  /** Nobody's list, where nobody knows who it is. */
  standing(uid: number | undefined, image: Digest, tool: AdvertisedTool): ToolStanding {
    const lines = uid === undefined ? [] : [...(this.#lines.get(uid)?.values() ?? [])];
    const named = lines.filter(({ name }) => name === tool.name);
    if (named.length === 0) return 'new';
    const isThere = named.some((line) => line.image === image && line.binary === tool.binary);
    return isThere ? 'allowed' : 'changed';
  }

  /** Whether the program was taken off the list after record `seq`. */
  isWithdrawnSince(uid: number, name: string, seq: number): boolean {
    return (this.#withdrawn.get(`${uid} ${name}`) ?? -1) > seq;
  }

  /** Everybody who has a list, by number. */
  users(): number[] {
    return [...this.#lines.keys()].toSorted((a, b) => a - b);
  }

  all(): unknown {
    return this.users().map((uid) => ({ uid, tools: this.of(uid) }));
  }

  #allow({ seq, ts, data: { uid, ...tool } }: RecordOf<'tool.allowed'>): void {
    if ((this.#withdrawn.get(`${uid} ${tool.name}`) ?? -1) > seq) return;
    const lines = this.#lines.get(uid) ?? new Map<string, Line>();
    const key = `${tool.name} ${tool.image}`;
    if ((lines.get(key)?.seq ?? -1) > seq) return;
    lines.set(key, { ...tool, at: ts, seq });
    this.#lines.set(uid, lines);
  }

  #withdraw({ seq, data: { uid, name } }: RecordOf<'tool.withdrawn'>): void {
    const key = `${uid} ${name}`;
    if ((this.#withdrawn.get(key) ?? -1) > seq) return;
    this.#withdrawn.set(key, seq);
    const lines = this.#lines.get(uid);
    for (const [at, line] of lines ?? []) {
      if (line.name === name && line.seq < seq) lines?.delete(at);
    }
    if (lines?.size === 0) this.#lines.delete(uid);
  }
}
