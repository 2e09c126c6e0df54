import type { AnyRecord } from '#contract/records.ts';
import { ownerOf } from './caller.ts';

/** What somebody used, of one day and of the disk. */
export type Used = {
  openRuns: number;
  runs: number;
  tasks: number;
  cpuMs: number;
  diskBytes: number;
};

type Day = { runs: number; tasks: number; cpuMs: number };
type Run = {
  owner: string;
  first: number;
  isOpen: boolean;
  /** What it holds, until it is pruned. */
  held: { snapshot: string; bytes: number } | undefined;
  /** Of which day what it used is said. */
  day: string;
  used: Day;
};
type Held = { runs: number; bytes: number };
type Owner = Used & { snapshots: Map<string, Held>; kept: number };

/**
 * Who used how much: a fold over the log. What is of a day is of the day of the newest record, UTC. A
 * workspace that several runs of one user hold counts once for him.
 */
export class Usage {
  #seq = -1;
  #day = '';
  readonly #runs = new Map<string, Run>();
  readonly #owners = new Map<string, Owner>();

  fold(record: AnyRecord): void {
    // What a pruned log carries along is of another day.
    if (record.seq > this.#seq) this.#turn(record.ts.slice(0, 10));
    this.#seq = Math.max(this.#seq, record.seq);
    if (record.type === 'log.pruned') this.#forget(record.data.to_seq);
    else if (record.type === 'run.pruned') this.#release(record.obj?.['run'] ?? '');
    else if (record.run !== undefined) this.#foldRun(record.run, record);
  }

  /** The day that counts now, and who has used anything. */
  get day(): string {
    return this.#day;
  }

  /** Everybody who used something that still counts. */
  all(): (Used & { owner: string })[] {
    const owners = [...this.#owners.keys()].sort();
    return owners.map((owner) => ({ owner, ...this.of(owner) }));
  }

  /** On a later day than the newest record nothing was used yet. */
  of(owner: string, day = this.#day): Used {
    const found = this.#owners.get(owner);
    const today = day === this.#day ? found : undefined;
    return {
      openRuns: found?.openRuns ?? 0,
      runs: today?.runs ?? 0,
      tasks: today?.tasks ?? 0,
      cpuMs: today?.cpuMs ?? 0,
      diskBytes: found?.diskBytes ?? 0,
    };
  }

  #turn(day: string): void {
    if (day === this.#day) return;
    this.#day = day;
    for (const [name, owner] of this.#owners) {
      Object.assign(owner, { runs: 0, tasks: 0, cpuMs: 0 });
      this.#letGo(name, owner);
    }
  }

  #foldRun(id: string, record: AnyRecord): void {
    if (record.type === 'run.submitted' && !this.#runs.has(id)) this.#begin(id, record);
    const run = this.#runs.get(id);
    const owner = run && this.#owners.get(run.owner);
    if (run === undefined || owner === undefined) return;
    switch (record.type) {
      case 'run.closed':
        if (run.isOpen) owner.openRuns -= 1;
        run.isOpen = false;
        return;
      case 'task.started':
        this.#use(run, owner, { tasks: 1 });
        return;
      case 'attempt.ended':
      case 'task.finished': {
        const { cpu_ms, disk_bytes = 0, output_bytes } = record.data;
        // Of an attempt that failed the layer is gone, and what it printed is kept.
        const bytes = output_bytes + (record.outcome === 'ok' ? disk_bytes : 0);
        this.#use(run, owner, { cpuMs: cpu_ms });
        if (run.held === undefined) return;
        owner.diskBytes += bytes;
        run.held.bytes += bytes;
        return;
      }
      default:
    }
  }

  #begin(id: string, record: AnyRecord & { type: 'run.submitted' }): void {
    const name = ownerOf(record.actor);
    const { snapshot, workspace_bytes: bytes = 0 } = record.data;
    const run: Run = {
      owner: name,
      first: record.seq,
      isOpen: true,
      held: { snapshot, bytes: 0 },
      day: this.#day,
      used: { ...unused },
    };
    this.#runs.set(id, run);
    const owner = this.#owners.get(name) ?? nothing();
    this.#owners.set(name, owner);
    this.#use(run, owner, { runs: 1 });
    owner.openRuns += 1;
    owner.kept += 1;
    const held = owner.snapshots.get(snapshot);
    if (held === undefined) {
      owner.snapshots.set(snapshot, { runs: 1, bytes });
      owner.diskBytes += bytes;
    } else held.runs += 1;
  }

  #use(run: Run, owner: Owner, more: Partial<Day>): void {
    if (run.day !== this.#day) Object.assign(run, { day: this.#day, used: { ...unused } });
    for (const day of [run.used, owner]) {
      day.runs += more.runs ?? 0;
      day.tasks += more.tasks ?? 0;
      day.cpuMs += more.cpuMs ?? 0;
    }
  }

  /** Runs that began in what was let go: whoever reads the rest would not know whose they were. */
  #forget(to: number): void {
    for (const [id, run] of this.#runs) {
      if (run.first >= to) continue;
      this.#release(id);
      this.#runs.delete(id);
      const owner = this.#owners.get(run.owner);
      if (owner === undefined) continue;
      if (run.isOpen) owner.openRuns -= 1;
      if (run.day === this.#day) {
        owner.runs -= run.used.runs;
        owner.tasks -= run.used.tasks;
        owner.cpuMs -= run.used.cpuMs;
      }
      this.#letGo(run.owner, owner);
    }
  }

  /** What it held is not held any more. */
  #release(id: string): void {
    const run = this.#runs.get(id);
    const owner = run && this.#owners.get(run.owner);
    if (run?.held === undefined || owner === undefined) return;
    owner.kept -= 1;
    owner.diskBytes -= run.held.bytes;
    const held = owner.snapshots.get(run.held.snapshot);
    if (held !== undefined && (held.runs -= 1) === 0) {
      owner.snapshots.delete(run.held.snapshot);
      owner.diskBytes -= held.bytes;
    }
    run.held = undefined;
    this.#letGo(run.owner, owner);
  }

  /** Of whom there is nothing more to say, nothing is kept. */
  #letGo(name: string, { kept, openRuns, runs, tasks, cpuMs }: Owner): void {
    if (kept + openRuns + runs + tasks + cpuMs === 0) this.#owners.delete(name);
  }
}

const unused: Day = { runs: 0, tasks: 0, cpuMs: 0 };

function nothing(): Owner {
  const none = { openRuns: 0, runs: 0, tasks: 0, cpuMs: 0, diskBytes: 0 };
  return { ...none, kept: 0, snapshots: new Map() };
}
