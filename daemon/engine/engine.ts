import type { Digest } from '#contract/ids.ts';
import type { RecordData } from '#contract/records.ts';
import type { Permit } from '../policy/permit.ts';

export type EngineFacts = {
  kind: 'docker' | 'podman' | 'fake';
  version: string;
  apiVersion: string;
  os: string;
  arch: string;
  runtimes: readonly string[];
  defaultRuntime: string;
  /** True where the engine itself reports the feature in its security options. */
  seccomp: boolean;
  apparmor: boolean;
  selinux: boolean;
  userns: boolean;
  rootless: boolean;
  cgroupVersion: string;
  /** True when limits on memory, swap, pids and cpu are really enforced. */
  limits: { memory: boolean; swap: boolean; pids: boolean; cpu: boolean };
  kernel: string;
  cpus: number;
  memoryBytes: number;
};

export type ImageFacts = {
  reference: string;
  id: Digest;
  os: string;
  arch: string;
  labels: Readonly<Record<string, string>>;
  repoDigests: readonly string[];
};

/** What inspection says the container really got: the same shape the log stores. */
export type EffectiveSettings = NonNullable<RecordData<'container.create'>['settings']>;

export type ContainerState = {
  id: string;
  name: string;
  status: 'created' | 'running' | 'paused' | 'exited' | 'dead' | 'unknown';
  labels: Readonly<Record<string, string>>;
  createdAt: string;
  exitCode: number | undefined;
};

export type ContainerExit = {
  exitCode: number;
  oomKilled: boolean;
  startedAt: string;
  finishedAt: string;
};

export type Usage = { memoryPeakBytes: number; cpuMs: number };

export type Attached = {
  stdout: AsyncIterable<Uint8Array>;
  stderr: AsyncIterable<Uint8Array>;
  /** Writes to stdin, then closes it. The container has an empty stdin when this is not called. */
  end(input?: Uint8Array): void;
};

/** Who an act is for: written into the log with the act and onto the container as labels. */
export type ActContext = {
  run?: string;
  task?: string;
  attempt?: number;
  /** Why a signal or removal happens, such as `timeout` or `finished`. */
  why?: string;
};

/**
 * A dozen verbs in front of Docker, Podman or a fake.
 *
 * Order: create → attach → start → wait → remove. `create` makes the container and its overlay
 * volumes, reads the effective settings back, and never starts anything. `attach` before `start`
 * loses no byte. `wait` is called after `start` only, resolves once the container has exited, and
 * may be called again. `signal` on an exited container is not an error. `remove` is forced, takes
 * the container's volumes along, may be repeated, and resolves when both are gone.
 * Everything rejects with `engine.unavailable` when nothing answers and with `engine.failed` when
 * the engine refuses. All verbs may run concurrently. `facts` and `findImage` change nothing.
 */
export interface Engine {
  facts(): Promise<EngineFacts>;
  findImage(reference: string): Promise<ImageFacts | undefined>;
  create(permit: Permit, context: ActContext): Promise<{ id: string; settings: EffectiveSettings }>;
  attach(id: string): Promise<Attached>;
  start(id: string, context: ActContext): Promise<void>;
  wait(id: string, signal?: AbortSignal): Promise<ContainerExit>;
  usage(id: string): Promise<Usage | undefined>;
  signal(id: string, name: 'SIGTERM' | 'SIGKILL', context: ActContext): Promise<void>;
  remove(id: string, context: ActContext): Promise<void>;
  /** Containers that carry every given label, stopped ones too. */
  list(labels: Readonly<Record<string, string>>): Promise<ContainerState[]>;
  close(): void;
}
