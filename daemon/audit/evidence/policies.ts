import type { AnyRecord } from '#contract/records.ts';

export type PolicyVersion = {
  name: string;
  policy: string;
  source: string;
  /** When it came into force, and by which record; before the time asked for, where it was so then. */
  since: string;
  seq: number;
  /** When another one took its place, or none; in force at the end where it is left out. */
  until?: string;
};

/** Which version of each policy was in force when: a daemon says so of all of them when it starts. */
export class PolicyVersions {
  readonly #versions: PolicyVersion[] = [];
  readonly #now = new Map<string, PolicyVersion>();
  #unsaid = new Map<string, string>();

  add(record: AnyRecord): void {
    if (record.type === 'daemon.started') {
      this.#unsaid = new Map([...this.#now.keys()].map((name) => [name, record.ts]));
    } else if (record.type === 'policy.loaded') this.#load(record);
    else if (record.type === 'policy.removed') this.#remove(record.data.name, record.ts);
    else if (record.type === 'run.submitted' || record.type === 'daemon.stopping') this.#drop();
  }

  all(): PolicyVersion[] {
    return this.#versions;
  }

  #load({ seq, ts, data }: AnyRecord & { type: 'policy.loaded' }): void {
    const { name, policy, source } = data;
    this.#unsaid.delete(name);
    const before = this.#now.get(name);
    if (before?.policy === policy) return;
    if (before !== undefined) before.until = ts;
    const version = { name, policy, source, since: ts, seq };
    this.#now.set(name, version);
    this.#versions.push(version);
  }

  #remove(name: string, at: string): void {
    const version = this.#now.get(name);
    if (version !== undefined) version.until = at;
    this.#now.delete(name);
  }

  /** Those that a daemon that started did not name again. */
  #drop(): void {
    for (const [name, at] of this.#unsaid) {
      const version = this.#now.get(name);
      if (version !== undefined) version.until = at;
      this.#now.delete(name);
    }
    this.#unsaid.clear();
  }
}
