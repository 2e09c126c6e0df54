import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Actor, AnyRecord } from '#contract/records.ts';
import {
  LogPruner,
  RetentionFolds,
  type LogPrunerDeps,
} from '#daemon/audit/retention/log-pruner.ts';
import type { Need } from '#daemon/audit/retention/plan.ts';
import { hashOver, inclusionPath } from '#daemon/audit/tree/paths.ts';
import type { Log } from '#daemon/audit/types.ts';
import { RightEdge } from '#verifier/tlog/merkle.ts';
import { FakeClock, noise, reopen, tempDir } from '../fixture.ts';

export const dayMs = 86_400_000;
export const admin: Actor = { kind: 'user', auth: 'peer', uid: 0, name: 'root' };

/** A tree over all hashes in memory, which outlives what is pruned, and a signer that always signs. */
export class FakeCheckpoints {
  readonly leaves: Buffer[] = [];
  readonly signed: number[] = [];
  readonly #nodes = new Map<string, Buffer>();
  isAway = false;
  log!: Log;

  async sign(size?: number) {
    if (this.isAway) throw new Error('the signer is away');
    const from = this.leaves.length;
    for await (const { record, hash } of this.log.read({ from })) {
      if (record.seq === this.leaves.length) this.leaves.push(Buffer.from(hash, 'hex'));
    }
    if (size !== undefined && size > this.leaves.length) throw new Error('not durable');
    this.signed.push(this.leaves.length);
    const root = await this.tree.rootAt(this.leaves.length);
    return { origin: 'test', size: this.leaves.length, root, note: { text: '', signatures: [] } };
  }

  readonly tree = {
    rootAt: (size: number) => hashOver(0, size, this.#nodeAt),
    inclusion: (index: number, size: number) => inclusionPath(index, size, this.#nodeAt),
    consistency: () => Promise.resolve([]),
  };

  readonly #nodeAt = (height: number, index: number): Promise<Buffer> => {
    const width = 2 ** height;
    const isFull = (index + 1) * width <= this.leaves.length;
    const known = this.#nodes.get(`${height} ${index}`);
    if (known !== undefined && isFull) return Promise.resolve(known);
    const edge = new RightEdge();
    for (const leaf of this.leaves.slice(index * width, (index + 1) * width)) edge.add(leaf);
    const node = edge.root();
    if (isFull) this.#nodes.set(`${height} ${index}`, node);
    return Promise.resolve(node);
  };
}

export class TestLog implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly checkpoints = new FakeCheckpoints();
  folds = new RetentionFolds();
  folded: AnyRecord[] = [];
  needs: Need[] = [];
  log!: Log;
  pruner!: LogPruner;
  dir = '';
  #temp!: AsyncDisposable;

  static async open(): Promise<TestLog> {
    const it = new TestLog();
    const temp = await tempDir();
    it.#temp = temp;
    it.dir = join(temp.path, 'audit');
    await it.reopen();
    return it;
  }

  /** As a daemon that starts: everything is folded anew. */
  async reopen(more: Partial<LogPrunerDeps> = {}): Promise<void> {
    this.folds = new RetentionFolds();
    this.folded = [];
    this.log = await reopen(this.dir, {
      clock: this.clock,
      segmentBytes: 4_000,
      segmentMs: 1e12,
      onRecord: (record) => {
        this.folds.fold(record);
        this.folded.push(record);
      },
    });
    this.checkpoints.log = this.log;
    this.pruner = new LogPruner({
      dir: this.dir,
      log: this.log,
      checkpoints: this.checkpoints,
      folds: this.folds,
      needs: () => this.needs,
      clock: this.clock,
      keepDays: 400,
      ...more,
    });
  }

  async restart(): Promise<void> {
    await this.log.close();
    await this.reopen();
  }

  /** `days` pass, with so many records on each. */
  async days(days: number, each = 20): Promise<void> {
    for (let day = 0; day < days; day += 1) {
      this.clock.pass(dayMs);
      const entries = Array.from({ length: each }, () => noise(randomBytes(20).toString('hex')));
      await this.log.appendAll(entries);
    }
  }

  async segments(): Promise<number[]> {
    const names = await readdir(join(this.dir, 'segments'));
    return names.toSorted().map((name) => Number.parseInt(name, 10));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.close();
    await this.#temp[Symbol.asyncDispose]();
  }
}
