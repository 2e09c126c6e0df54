import { OrchestraError } from '#contract/errors.ts';
import { askedFor } from '#daemon/engine/asked.ts';
import type {
  Adopted,
  Attached,
  ContainerExit,
  ContainerState,
  Created,
  Effective,
  Engine,
  EngineFacts,
  HostFacts,
  ImageFacts,
  OutputPiece,
  SignalName,
  Started,
  Usage,
} from '#daemon/engine/engine.ts';
import type { SandboxSpec } from '#daemon/policy/spec.ts';
import { FakeVolume } from './fake-volume.ts';

/** What a command does on the fake. Everything left out is nothing: exit 0, no output, at once. */
export type Script = {
  /** Runs first, such as writing into the upper layer of an overlay. */
  effect?: (spec: SandboxSpec) => void | Promise<void>;
  /** Likewise, on a volume of its own. */
  inVolume?: (volume: FakeVolume, target: string) => void;
  output?: readonly (readonly [1 | 2, string | Uint8Array])[];
  exitCode?: number;
  oomKilled?: boolean;
  usage?: Usage;
  delayMs?: number;
  /** Never ends by itself. */
  hang?: boolean;
  /** Goes on after SIGTERM, or even after SIGKILL. */
  survives?: SignalName;
};

export type Verb = Exclude<keyof Engine, 'close'>;
/** `lose`: the act happens, its answer is lost. `hang`: no answer, and nothing happens. */
export type Fault = 'fail' | 'lose' | 'hang' | OrchestraError;

type Container = {
  id: string;
  spec: SandboxSpec;
  status: ContainerState['status'];
  createdAt: string;
  started: PromiseWithResolvers<void>;
  exit: PromiseWithResolvers<ContainerExit>;
  pieces: OutputPiece[];
  more: PromiseWithResolvers<void>;
  isOver: boolean;
  /** What the task that it was released for does; nothing before. */
  script: Script;
  task: SandboxSpec | undefined;
  /** While it is frozen: resolves once it goes on. What is sent to it waits for that too. */
  frozen: PromiseWithResolvers<void> | undefined;
  waiting: SignalName | undefined;
  volumes: Map<string, FakeVolume>;
};

export const fakeHost: HostFacts = {
  hostsFile: '/fake/hosts',
  openFilesMax: 4096,
  processesMax: 4096,
};

/**
 * An engine without containers, faithful to the contract of `Engine`: it refuses calls in a wrong
 * order, keeps names unique, runs a script per command, and can be told to fail.
 */
export class FakeEngine implements Engine {
  /** Every call that reached it, such as `start` or `signal SIGTERM`. */
  readonly calls: string[] = [];
  readonly images = new Map<string, ImageFacts>();
  /** Changes what inspection says, to play an engine that does not do as it is told. */
  tamper: (effective: Effective) => Effective = (effective) => effective;
  /** Called at each verb, before anything happens; may wait or throw. */
  onCall: (verb: Verb) => void | Promise<void> = () => {};
  readonly #programs: (spec: SandboxSpec) => Script;
  readonly #containers = new Map<string, Container>();
  readonly #faults: { verb: Verb; fault: Fault }[] = [];
  readonly #host: HostFacts;
  #next = 1;

  constructor(programs: (spec: SandboxSpec) => Script = () => ({}), host: HostFacts = fakeHost) {
    this.#programs = programs;
    this.#host = host;
  }

  /** The next call of that verb goes wrong; several queue up. */
  failNext(verb: Verb, fault: Fault = 'fail'): void {
    this.#faults.push({ verb, fault });
  }

  /** Containers that are there now. */
  get left(): string[] {
    return [...this.#containers.values()].map(({ spec }) => spec.name);
  }

  /** Plays somebody who removes the container behind our back. */
  vanish(name: string): void {
    const container = this.#find(name);
    if (!container) return;
    this.#containers.delete(container.id);
    container.exit.reject(missing('wait for a sandbox'));
    this.#endOutput(container);
  }

  facts(): Promise<EngineFacts> {
    return this.#do('facts', () => ({
      kind: 'fake',
      version: '1',
      apiVersion: '1',
      os: 'linux',
      arch: 'amd64',
      runtimes: ['runc'],
      defaultRuntime: 'runc',
      seccomp: true,
      apparmor: false,
      selinux: false,
      userns: false,
      rootless: false,
      cgroupVersion: '2',
      limits: { memory: true, swap: true, pids: true, cpu: true },
      kernel: 'fake',
      cpus: 2,
      memoryBytes: 8 * 1024 ** 3,
    }));
  }

  findImage(reference: string): Promise<ImageFacts | undefined> {
    return this.#do('findImage', () => this.images.get(reference));
  }

  create({ spec }: { spec: SandboxSpec }): Promise<Created> {
    return this.#do('create', () => {
      if (this.#find(spec.name)) throw new OrchestraError('engine.conflict', 'the name is taken');
      const container: Container = {
        id: `${'0'.repeat(60)}${String(this.#next++).padStart(4, '0')}`,
        spec,
        status: 'created',
        createdAt: new Date().toISOString(),
        started: Promise.withResolvers(),
        exit: Promise.withResolvers(),
        pieces: [],
        more: Promise.withResolvers(),
        isOver: false,
        script: {},
        task: undefined,
        frozen: undefined,
        waiting: undefined,
        volumes: new Map(),
      };
      container.exit.promise.catch(() => {});
      this.#containers.set(container.id, container);
      return { id: container.id, effective: this.#effective(spec) };
    });
  }

  #effective(spec: SandboxSpec): Effective {
    return this.tamper({
      ...askedFor(spec, this.#host),
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    });
  }

  adopt(id: string): Promise<Adopted | undefined> {
    return this.#do('adopt', () => {
      const container = this.#containers.get(id);
      if (container === undefined || container.status === 'created') return undefined;
      const found = container.status as Adopted['found'];
      const isOver = found === 'exited';
      return {
        id,
        effective: this.#effective(container.spec),
        found,
        pid: undefined,
        attached: {
          ready: Promise.resolve(),
          isOpen: () => this.#containers.has(id) && !container.isOver,
          output: isOver ? nothing() : drain(container),
          close: () => {},
        },
        isOutputCut: true,
      };
    });
  }

  freeze(id: string): Promise<void> {
    return this.#do('freeze', () => {
      const container = this.#containers.get(id);
      if (container?.status !== 'running') return;
      container.status = 'paused';
      container.frozen = Promise.withResolvers();
    });
  }

  thaw(id: string): Promise<void> {
    return this.#do('thaw', () => {
      const container = this.#containers.get(id);
      if (container?.status !== 'paused') return;
      container.status = 'running';
      container.frozen?.resolve();
      container.frozen = undefined;
      if (container.waiting !== undefined) this.#take(container, container.waiting);
    });
  }

  attach(id: string): Promise<Attached> {
    return this.#do('attach', () => {
      const container = this.#need(id, ['created', 'running'], 'attach to a sandbox');
      const isOpen = () => this.#containers.has(container.id) && !container.isOver;
      return {
        ready: container.started.promise,
        isOpen,
        output: drain(container),
        close: () => {},
      };
    });
  }

  fill(
    id: string,
    _permit: unknown,
    { target, tar }: { target: string; tar: AsyncIterable<Uint8Array> },
  ): Promise<void> {
    return this.#do('fill', async () => {
      const { volumes } = this.#need(id, ['created'], 'fill a volume');
      volumes.set(target, await FakeVolume.of(tar));
    });
  }

  readBack(id: string, target: string): Promise<AsyncIterable<Uint8Array>> {
    return this.#do('readBack', () => {
      const { volumes } = this.#need(id, ['running', 'exited'], 'read a volume');
      return (volumes.get(target) ?? new FakeVolume()).tar(target.slice(1));
    });
  }

  start(id: string): Promise<Started> {
    return this.#do('start', () => {
      const container = this.#need(id, ['created'], 'start a sandbox');
      container.status = 'running';
      container.started.resolve();
      return { pid: undefined };
    });
  }

  release(id: string, { spec }: { spec: SandboxSpec }): Promise<void> {
    return this.#do('release', () => {
      const container = this.#need(id, ['running'], 'let a task go');
      container.script = this.#programs(spec);
      container.task = spec;
      void this.#run(container, spec);
    });
  }

  wait(id: string, signal?: AbortSignal): Promise<ContainerExit> {
    return this.#do('wait', () => {
      const container = this.#need(id, ['running', 'paused', 'exited'], 'wait for a sandbox');
      const stopped = Promise.withResolvers<never>();
      const abort = () =>
        stopped.reject(new OrchestraError('engine.unavailable', 'waiting was given up'));
      signal?.addEventListener('abort', abort, { once: true });
      return Promise.race([container.exit.promise, stopped.promise]);
    });
  }

  usage(id: string): Promise<Usage | undefined> {
    // Not among the calls: when it is asked for is nobody's business.
    const container = this.#containers.get(id);
    return Promise.resolve(container?.status === 'running' ? container.script.usage : undefined);
  }

  signal(id: string, name: SignalName): Promise<void> {
    return this.#do(
      'signal',
      () => {
        const container = this.#containers.get(id);
        if (container?.status === 'paused') container.waiting = name;
        if (container?.status === 'running') this.#take(container, name);
      },
      `signal ${name}`,
    );
  }

  #take(container: Container, name: SignalName): void {
    const { survives } = container.script;
    if (survives === name || survives === 'SIGKILL') return;
    this.#exit(container, name === 'SIGKILL' ? 137 : 143);
  }

  remove(idOrName: string): Promise<void> {
    return this.#do('remove', () => {
      const container = this.#find(idOrName);
      if (!container) return;
      if (container.status === 'paused') container.status = 'running';
      if (container.status === 'running') this.#exit(container, 137);
      this.#containers.delete(container.id);
    });
  }

  list(labels: Readonly<Record<string, string>>): Promise<ContainerState[]> {
    return this.#do('list', () =>
      [...this.#containers.values()]
        .filter(({ spec }) =>
          Object.entries(labels).every(([name, value]) => spec.labels[name] === value),
        )
        .map(({ id, spec, status, createdAt }) => ({
          id,
          name: spec.name,
          status,
          labels: spec.labels,
          createdAt,
          exitCode: undefined,
        })),
    );
  }

  close(): void {}

  async #do<T>(verb: Verb, work: () => T | Promise<T>, call: string = verb): Promise<T> {
    this.calls.push(call);
    await this.onCall(verb);
    const at = this.#faults.findIndex((one) => one.verb === verb);
    const fault = at < 0 ? undefined : this.#faults.splice(at, 1)[0]?.fault;
    if (fault === undefined) return work();
    if (fault === 'hang') return new Promise<T>(() => {});
    if (fault === 'fail') throw new OrchestraError('engine.failed', `told to fail: ${verb}`);
    if (fault !== 'lose') throw fault;
    await work();
    throw new OrchestraError('engine.unavailable', `told to lose the answer: ${verb}`);
  }

  #find(idOrName: string): Container | undefined {
    return (
      this.#containers.get(idOrName) ??
      [...this.#containers.values()].find(({ spec }) => spec.name === idOrName)
    );
  }

  #need(id: string, statuses: readonly ContainerState['status'][], what: string): Container {
    const container = this.#containers.get(id);
    if (!container) throw missing(what);
    if (!statuses.includes(container.status)) {
      throw new OrchestraError('engine.failed', `wrong order: ${what} that is ${container.status}`);
    }
    return container;
  }

  async #run(container: Container, task: SandboxSpec): Promise<void> {
    const { script } = container;
    await script.effect?.(task);
    for (const [target, volume] of container.volumes) script.inVolume?.(volume, target);
    for (const [s, text] of script.output ?? []) {
      container.pieces.push({ s, bytes: typeof text === 'string' ? Buffer.from(text) : text });
      container.more.resolve();
    }
    if (script.hang === true) return;
    await new Promise((resolve) => {
      setTimeout(resolve, script.delayMs ?? 0);
    });
    // Its time passes while it stands still, and it goes on when it may.
    while (container.frozen !== undefined) await container.frozen.promise;
    this.#exit(container, script.exitCode ?? 0);
  }

  #exit(container: Container, exitCode: number): void {
    if (container.status !== 'running') return;
    container.status = 'exited';
    const now = new Date().toISOString();
    this.#endOutput(container);
    container.exit.resolve({
      by: 'engine',
      exitCode,
      oomKilled: container.script.oomKilled ?? false,
      startedAt: now,
      finishedAt: now,
    });
  }

  #endOutput(container: Container): void {
    container.isOver = true;
    container.more.resolve();
  }
}

async function* nothing(): AsyncGenerator<OutputPiece, void, undefined> {}

async function* drain(container: Container): AsyncGenerator<OutputPiece, void, undefined> {
  while (true) {
    const piece = container.pieces.shift();
    if (piece) {
      yield piece;
      continue;
    }
    if (container.isOver) return;
    await container.more.promise;
    if (!container.isOver) container.more = Promise.withResolvers();
  }
}

function missing(what: string): OrchestraError {
  return new OrchestraError('engine.failed', `could not ${what}: there is none of that name`);
}
