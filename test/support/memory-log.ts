import { OrchestraError } from '#contract/errors.ts';
import { recordTypes, type AnyRecord, type RecordOf, type RecordType } from '#contract/records.ts';
import type { AnyEntry, Entry, Log } from '#daemon/audit/types.ts';

/**
 * A log in memory for the rooms above the audit: checks each entry against the schema of its type
 * and remembers it. `onAppend` may throw or wait, to play a log that fails or is slow.
 */
export class MemoryLog implements Pick<Log, 'append' | 'appendAll' | 'blocked'> {
  readonly entries: AnyEntry[] = [];
  blocked: OrchestraError | undefined;
  onAppend: (entry: AnyEntry) => void | Promise<void> = () => {};

  async append<T extends RecordType>(entry: Entry<T>): Promise<RecordOf<T>> {
    if (this.blocked) throw this.blocked;
    const row = recordTypes[entry.type];
    row.data.parse(entry.data);
    const isAct = row.stages === 'act';
    if (isAct !== (entry.stage === 'intent' || entry.stage === 'result')) {
      throw new OrchestraError('internal.bug', `wrong stage for ${entry.type}`);
    }
    if (isAct && entry.req === undefined) throw new OrchestraError('internal.bug', 'no req');
    await this.onAppend(entry as unknown as AnyEntry);
    if (this.blocked) throw this.blocked;
    this.entries.push(structuredClone(entry) as unknown as AnyEntry);
    return entry as unknown as RecordOf<T>;
  }

  async appendAll(entries: readonly AnyEntry[]): Promise<AnyRecord[]> {
    const records: AnyRecord[] = [];
    for (const entry of entries) records.push((await this.append(entry)) as AnyRecord);
    return records;
  }

  block(): void {
    this.blocked = new OrchestraError('audit.unavailable', 'the log is blocked');
  }

  /** The story in short, such as `container.start intent` or `limit.exceeded`. */
  get story(): string[] {
    return this.entries.map((entry) =>
      [entry.type, entry.stage, entry.outcome === 'ok' ? undefined : entry.outcome]
        .filter((word) => word !== undefined)
        .join(' '),
    );
  }

  of<T extends RecordType>(type: T): Entry<T>[] {
    return this.entries.filter((entry) => entry.type === type) as unknown as Entry<T>[];
  }
}
