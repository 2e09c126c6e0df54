import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { OrchestraError } from '#contract/errors.ts';
import { digestOf } from '../base/canonical.ts';
import type { Doors } from '../engine/doors.ts';
import type { ActContext, Attached, Created, Engine } from '../engine/engine.ts';
import { runtimeFacts } from '../engine/runtime-facts.ts';
import type { Permit } from '../policy/permit.ts';
import type { PackRequest } from '../workspace/copies/pack.ts';
import {
  gateTarget,
  npmCacheTarget,
  shapeOf,
  workspaceTarget,
  type DoorMount,
  type SandboxSpec,
} from '../policy/spec.ts';
import { failpoint } from '../base/failpoints.ts';

/** A sandbox at its gate, for one task. */
export type AtGate = Created & { attached: Attached; isSlot: boolean };

/** The name, labels and doors of a slot to be made; what the rest of it is, its task says. */
export type SlotIdentity = { slot: string; doors: readonly DoorMount[] };

/** Asks policy for a sandbox that waits for a task of this shape. Rejects with `policy.denied`. */
export type AskSlot = (identity: SlotIdentity) => Promise<Permit>;

export type ReadySlotOptions = {
  engine: Engine;
  /** Absent where layers cannot reach a running sandbox: then each is made for its task. */
  doors: Doors | undefined;
  /** What directories of ours show, for an engine that does not see them. */
  send?: (request: PackRequest) => AsyncIterable<Uint8Array>;
  /** How many may stand ready in all. Zero: none is made ahead. */
  readyMax: number;
  /** How many are kept of a shape that nobody expects any more, and for how long, ms. */
  keep: number;
  idleMs: number;
  /** How many sandboxes the engine may be making at once: more only makes each slower. */
  makingMax: number;
};

type Bucket = {
  ask: AskSlot;
  ready: AtGate[];
  making: number;
  /** Tasks that wait for one, oldest first. */
  waiters: PromiseWithResolvers<AtGate | undefined>[];
  /** How many should stand ready. */
  target: number;
  lastUsedAt: number;
};

export type SlotsShown = {
  /** Why none can be made ahead; absent where they can. */
  reason?: string;
  ready: number;
  readyMax: number;
  /** Bytes of memory that those which stand ready hold, by the kernel's account of their groups. */
  memoryBytes: number;
};

const bucketsMax = 64;
/** So many in a row that failed where others came through before: then none is made ahead. */
const failuresMax = 5;
const retiringMax = 64;
const refillMs = 80;
const slotContext: ActContext = { why: 'slot' };

/**
 * Sandboxes of the shapes that policy allows, created, compared, started and waiting, each used
 * once. Start is a release, not a boot.
 *
 * A slot holds nothing of a task: that comes when it is taken. Which shapes will be wanted, the
 * plans say (`expect`); what nobody wanted for a while is given back. Where a layer cannot reach a
 * container that already runs, `open` makes one for the task; the contract is the same.
 */
export class ReadySlots {
  readonly #options: ReadySlotOptions;
  readonly #buckets = new Map<string, Bucket>();
  readonly #retiring = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  #making = 0;
  #soon: NodeJS.Timeout | undefined;
  #hasMade = false;
  #failures = 0;
  #reason: string | undefined;
  #isClosed = false;

  constructor(options: ReadySlotOptions) {
    this.#options = options;
    if (options.doors === undefined) this.#reason = 'layers cannot reach a running sandbox';
    else if (options.readyMax === 0) this.#reason = 'switched off';
    this.#timer = setInterval(() => this.#giveBack(), Math.max(1_000, options.idleMs / 4));
    this.#timer.unref();
  }

  /**
   * A sandbox at its gate for this permit, ready or made now; undefined where `signal` gave up
   * waiting for one. What it is worth, `release` judges.
   */
  async open(
    permit: Permit,
    ask: AskSlot | undefined,
    context: ActContext,
    signal: AbortSignal,
  ): Promise<AtGate | undefined> {
    if (ask === undefined || this.#reason !== undefined || !isSlotable(permit.spec))
      return this.#make(permit, context, signal);
    const bucket = this.#bucketFor(permit.spec, ask);
    const ready = this.#takeReady(bucket);
    if (ready !== undefined) {
      this.#refillSoon();
      return ready;
    }
    const waiter = Promise.withResolvers<AtGate | undefined>();
    bucket.waiters.push(waiter);
    this.#refill();
    const giveUp = () => {
      const at = bucket.waiters.indexOf(waiter);
      if (at < 0) return;
      bucket.waiters.splice(at, 1);
      waiter.resolve(undefined);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      return await waiter.promise;
    } catch (error) {
      if (!isOfEngine(error)) throw error;
      // What cannot be made to wait may still be made with everything in it.
      return await this.#make(permit, context, signal);
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** So many tasks of the shape of `spec` are about to come. Makes no promise. */
  expect(spec: SandboxSpec, ask: AskSlot, count: number): void {
    if (this.#reason !== undefined || this.#isClosed) return;
    if (!runtimeFacts(spec.runtime).propagation) return;
    const bucket = this.#bucketFor(spec, ask);
    bucket.target = Math.min(this.#options.readyMax, Math.max(count, this.#options.keep));
    if (bucket.ready.length > 0) this.#refillSoon();
    else this.#refill();
  }

  /** Takes a sandbox away that is over, in the background; waits where too many are on their way. */
  async retire({ id, attached }: AtGate, context: ActContext): Promise<void> {
    const gone = putAway(this.#options.engine, id, context).finally(() => {
      attached.close();
      this.#retiring.delete(gone);
    });
    this.#retiring.add(gone);
    if (this.#retiring.size > retiringMax) await gone;
  }

  /** Everything that is on its way out is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#retiring);
    await this.#options.doors?.settled();
  }

  async show(): Promise<SlotsShown> {
    const ready = [...this.#buckets.values()].flatMap((bucket) => bucket.ready);
    const usages = await Promise.all(
      ready.map(async ({ id }) => this.#options.engine.usage(id).catch(() => undefined)),
    );
    return {
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      ready: ready.length,
      readyMax: this.#options.readyMax,
      memoryBytes: usages.reduce((sum, usage) => sum + (usage?.memoryPeakBytes ?? 0), 0),
    };
  }

  /** Gives back what stands ready and waits for what is under way. Nothing is made any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    while (this.#making > 0 || this.#retiring.size > 0 || this.#readyCount > 0) {
      for (const bucket of this.#buckets.values()) this.#dropReady(bucket, 0);
      await Promise.race([...this.#retiring, this.#nextMade.promise]);
    }
    await this.#options.doors?.settled();
  }

  /** One that stands ready and is still there: an engine or a kernel may have taken others away. */
  #takeReady(bucket: Bucket): AtGate | undefined {
    for (;;) {
      const ready = bucket.ready.shift();
      if (ready === undefined || ready.attached.isOpen()) return ready;
      void this.retire(ready, { why: 'gone' });
    }
  }

  #nextMade = Promise.withResolvers<void>();

  get #readyCount(): number {
    return [...this.#buckets.values()].reduce((sum, { ready }) => sum + ready.length, 0);
  }

  #bucketFor(spec: SandboxSpec, ask: AskSlot): Bucket {
    const key = digestOf(shapeOf(spec));
    const known = this.#buckets.get(key);
    const bucket = known ?? { ready: [], making: 0, waiters: [], target: 0, lastUsedAt: 0, ask };
    bucket.ask = ask;
    bucket.lastUsedAt = performance.now();
    // The one that was wanted last comes last.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  /** What is made in place of one that was taken waits a moment: the task goes first. */
  #refillSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#refill();
    }, refillMs);
    this.#soon.unref();
  }

  /** Makes what tasks wait for first, then what should stand ready, newest shape first. */
  #refill(): void {
    if (this.#isClosed) return;
    const newestFirst = [...this.#buckets.values()].toReversed();
    for (const bucket of newestFirst) {
      while (this.#making < this.#options.makingMax && bucket.waiters.length > bucket.making) {
        void this.#add(bucket);
      }
    }
    for (const bucket of newestFirst) {
      const coming = () => bucket.ready.length + bucket.making - bucket.waiters.length;
      while (this.#making < this.#options.makingMax && coming() < bucket.target) {
        if (!this.#hasRoom(bucket)) break;
        void this.#add(bucket);
      }
    }
  }

  /** True where one more may stand ready; takes the place of the shape that waited longest. */
  #hasRoom(wanted: Bucket): boolean {
    const sum = () => this.#readyCount + this.#making;
    for (const bucket of this.#buckets.values()) {
      if (sum() < this.#options.readyMax || bucket === wanted) break;
      bucket.target = 0;
      this.#dropReady(bucket, 0);
    }
    return sum() < this.#options.readyMax;
  }

  async #add(bucket: Bucket): Promise<void> {
    bucket.making += 1;
    this.#making += 1;
    try {
      const made = await this.#makeSlot(bucket.ask);
      const waiter = bucket.waiters.shift();
      if (waiter) waiter.resolve(made);
      else if (this.#isClosed) await this.retire(made, slotContext);
      else bucket.ready.push(made);
    } catch (error) {
      // Tells the one who waited longest; nobody's slot is not missed before somebody asks.
      bucket.target = 0;
      bucket.waiters.shift()?.reject(error);
    } finally {
      bucket.making -= 1;
      this.#making -= 1;
      this.#nextMade.resolve();
      this.#nextMade = Promise.withResolvers();
      this.#refill();
    }
  }

  async #makeSlot(ask: AskSlot): Promise<AtGate> {
    const { doors } = this.#options;
    if (doors === undefined) throw new OrchestraError('internal.bug', 'a slot without doors');
    const slot = randomBytes(6).toString('hex');
    const made = doors.make([workspaceTarget, npmCacheTarget, gateTarget]);
    let created: Created | undefined;
    try {
      created = await this.#options.engine.create(await ask({ slot, doors: made }), slotContext);
      const atGate = await this.#begin(created, slotContext);
      this.#hasMade = true;
      this.#failures = 0;
      return { ...atGate, isSlot: true };
    } catch (error) {
      // Of a container that was made, the guard closes the doors, once it is gone.
      if (created === undefined) doors.close(made);
      this.#failures += 1;
      const isHopeless = !this.#hasMade || this.#failures >= failuresMax;
      if (isOfEngine(error) && isHopeless) this.#reason = error.message;
      throw error;
    }
  }

  async #make(
    permit: Permit,
    context: ActContext,
    signal: AbortSignal,
  ): Promise<AtGate | undefined> {
    const created = await this.#options.engine.create(permit, context);
    try {
      const fill = async () => this.#fill(created.id, permit, context, signal);
      return await this.#begin(created, context, fill);
    } catch (error) {
      if (error !== signal.reason) throw error;
      return undefined;
    }
  }

  /** Copies what the task sees to where the engine keeps it. */
  async #fill(id: string, permit: Permit, context: ActContext, signal: AbortSignal): Promise<void> {
    const { engine, send } = this.#options;
    for (const mount of permit.spec.mounts) {
      if (mount.kind !== 'volume') continue;
      if (send === undefined) throw new OrchestraError('internal.bug', 'nobody fills a volume');
      const { target, lower } = mount;
      const tar = unlessAborted(send({ lower, owner: permit.spec.user }), signal);
      try {
        await engine.fill(id, permit, { target, tar }, context);
      } finally {
        // Whatever the engine made of half a stream.
        signal.throwIfAborted();
      }
    }
  }

  /** Brings a container that was made to its gate, or takes it away. */
  async #begin(
    created: Created,
    context: ActContext,
    fill: () => Promise<void> = async () => {},
  ): Promise<AtGate> {
    const { engine } = this.#options;
    const { id } = created;
    let attached: Attached | undefined;
    failpoint('after-container-create');
    try {
      await fill();
      attached = await engine.attach(id);
      // Started means that it stands at its gate, because somebody listens.
      await engine.start(id, context);
      failpoint('after-container-start');
      return { ...created, attached, isSlot: false };
    } catch (error) {
      attached?.close();
      await putAway(engine, id, { ...context, why: 'start failed' });
      throw error;
    }
  }

  #giveBack(): void {
    const now = performance.now();
    for (const [key, bucket] of this.#buckets) {
      const isIdle = now - bucket.lastUsedAt > this.#options.idleMs && bucket.making === 0;
      if (!isIdle && this.#buckets.size <= bucketsMax) continue;
      this.#dropReady(bucket, 0);
      if (bucket.waiters.length === 0) this.#buckets.delete(key);
    }
  }

  #dropReady(bucket: Bucket, left: number): void {
    for (const one of bucket.ready.splice(left)) {
      void this.retire(one, { why: 'not needed' });
    }
  }
}

/** What is sensible on this machine: a sandbox that waits costs some megabytes and no processor. */
export function slotSettings(readyMax: number) {
  const cores = availableParallelism();
  return {
    readyMax,
    keep: Math.min(2, readyMax),
    idleMs: 120_000,
    // Beyond this an engine makes each slower and not more of them.
    makingMax: Math.max(2, cores),
  };
}

/** No sandbox is ever made ahead: each is made for its task. */
export function withoutSlots(engine: Engine): ReadySlots {
  const none = { readyMax: 0, keep: 0, idleMs: 60_000, makingMax: 1 };
  return new ReadySlots({ engine, doors: undefined, ...none });
}

/** The engine could not or would not; no word of policy, log or comparison. */
function isOfEngine(error: unknown): error is OrchestraError {
  const codes: readonly string[] = ['engine.failed', 'engine.not_connected'];
  return error instanceof OrchestraError && codes.includes(error.code);
}

/** All its layers have a door, and nothing of the host is shown beside them. */
function isSlotable({ mounts, runtime }: SandboxSpec): boolean {
  const targets: readonly string[] = [workspaceTarget, npmCacheTarget];
  return (
    runtimeFacts(runtime).propagation &&
    mounts.every(
      (mount) =>
        mount.kind === 'tmpfs' || (mount.kind !== 'bind' && targets.includes(mount.target)),
    )
  );
}

async function* unlessAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  for await (const each of source) {
    signal.throwIfAborted();
    yield each;
  }
}

/**
 * A removal that fails is on record by the guard and left to the sweep; it must not hide what
 * happened before. What may still run is at least ended.
 */
async function putAway(engine: Engine, id: string, context: ActContext): Promise<void> {
  try {
    await engine.remove(id, context);
  } catch {
    await engine.signal(id, 'SIGKILL', { ...context, why: 'removal failed' }).catch(() => {});
  }
}
