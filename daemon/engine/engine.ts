import type { Digest } from '#contract/ids.ts';
import type { RecordData } from '#contract/records.ts';
import type { AnyEntry } from '../audit/types.ts';
import type { Permit } from '../policy/permit.ts';
import type { Component } from './known-escapes.ts';
import type { RuntimeFacts } from './runtime-facts.ts';

export type EngineFacts = {
  kind: 'docker' | 'podman' | 'fake';
  version: string;
  apiVersion: string;
  os: string;
  arch: string;
  runtimes: readonly string[];
  defaultRuntime: string;
  /** What each of them does with what it is asked for; left out where nobody can say. */
  runtimeFacts?: Readonly<Record<string, RuntimeFacts>>;
  /** True where the engine itself reports the feature in its security options. */
  seccomp: boolean;
  apparmor: boolean;
  selinux: boolean;
  userns: boolean;
  /** Whom its machine takes root of a container for, where it maps users and says to whom. */
  usersFrom?: { uid: number; gid: number };
  rootless: boolean;
  cgroupVersion: string;
  /** True when limits on memory, swap, pids and cpu are really enforced. */
  limits: { memory: boolean; swap: boolean; pids: boolean; cpu: boolean };
  kernel: string;
  /** The programs that make its containers; left out where the engine does not say. */
  components?: readonly Component[];
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

/** The part of the effective settings that the log keeps: no values of variables, no argv. */
export type EffectiveSettings = NonNullable<RecordData<'container.create'>['settings']>;

/** What inspection says the container really got, in words that are the same for every engine. */
export type Effective = {
  settings: EffectiveSettings;
  name: string;
  /** Entry point and arguments together: exactly what is executed. */
  command: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
  maskedPaths: readonly string[];
  readonlyPaths: readonly string[];
  /** Anything else that the engine set and a sandbox must not have, in the engine's words. */
  others: readonly string[];
};

export type ContainerState = {
  id: string;
  name: string;
  status: 'created' | 'running' | 'paused' | 'exited' | 'dead' | 'unknown';
  labels: Readonly<Record<string, string>>;
  createdAt: string;
  exitCode: number | undefined;
};

/** Whose word an exit code is: the engine's, or the kernel's where it can be asked (pidfd). */
export type ContainerExit = {
  by: 'engine' | 'kernel';
  exitCode: number;
  oomKilled: boolean;
  startedAt: string;
  finishedAt: string;
};

/**
 * What a container has used so far. `forksRefused` counts how often the limit of processes said no.
 * The rest is there where the kernel can be asked on this machine.
 */
export type Usage = {
  memoryPeakBytes: number;
  cpuMs: number;
  forksRefused: number;
  /** How many of its processes were killed because its memory was used up. */
  oomKills?: number;
  pidsPeak?: number;
  /** How long it was held back to its share of the processors. */
  throttledMs?: number;
  /** The most files that one of its processes has open now. */
  openFiles?: number;
  /** In use now on its fullest memory file system; `tmpFullBytes` is the size of one that is full. */
  tmpBytes?: number;
  tmpFullBytes?: number;
  /** Its processes now, by their numbers on this machine. */
  processes?: readonly number[];
};

/** Bytes of one stream, 1 for stdout and 2 for stderr, in the order the engine saw them. */
export type OutputPiece = { s: 1 | 2; bytes: Uint8Array };

export type Attached = {
  /** False once the connection or the sandbox is known to be gone; true proves nothing. */
  isOpen(): boolean;
  /** Resolves once the started sandbox stands at its gate; rejects where it ended before. */
  ready: Promise<void>;
  /** One reader only. Whoever reads slowly slows the container down: nothing is buffered here. */
  output: AsyncIterable<OutputPiece>;
  close(): void;
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
 * Order: create → fill → attach → start → release → wait → readBack → remove. `fill` and `readBack`
 * are for layers that the engine does not see on its disk: one `fill` for each volume of the spec. `create` makes the container and its
 * overlay volumes, reads the effective settings back, and never starts anything. `attach` comes
 * before `start` and loses no byte of the task. A started sandbox waits at its gate (`gate.ts`);
 * `release` gives it the task of this permit, once: command, variables, secrets, and its layers
 * where it waited without them. The task's standard input is empty. `wait` is called after `start`
 * only, resolves once the container has exited, and may be called again. `usage` reads the peaks so far and is undefined
 * once the container is gone. `freeze` lets all its processes stand still and resolves once they do,
 * `thaw` lets them go on; neither is an error where there is nothing to do. A signal thaws. `adopt`
 * takes the place of create, attach, start and release in a daemon that finds a container which an
 * earlier one let go; after it everything else works as for one of its own. `signal` on an exited or missing container is not an error. `remove`
 * is forced, takes the name or the id, takes the container's volumes along, may be repeated, and
 * resolves when both are gone.
 * Everything rejects with `engine.unavailable` when nothing answers (the act may have happened all
 * the same), with `engine.failed` when the engine refuses, and `create` with `engine.conflict` when
 * the name is taken. All verbs may run concurrently. `facts`, `findImage`, `usage` and `list` change
 * nothing.
 */
export interface Engine {
  facts(): Promise<EngineFacts>;
  findImage(reference: string): Promise<ImageFacts | undefined>;
  create(permit: Permit, context: ActContext): Promise<Created>;
  attach(id: string): Promise<Attached>;
  /**
   * Unpacks a tar stream into the volume of a created container at `target`, of which the first entry
   * is the directory itself. Everything in it, that directory too, belongs to the sandbox's user then.
   */
  fill(
    id: string,
    permit: Permit,
    content: { target: string; tar: AsyncIterable<Uint8Array> },
    context: ActContext,
  ): Promise<void>;
  start(id: string, context: ActContext): Promise<Started>;
  release(id: string, permit: Permit, context: ActContext, given?: Given): Promise<void>;
  wait(id: string, signal?: AbortSignal): Promise<ContainerExit>;
  usage(id: string): Promise<Usage | undefined>;
  /**
   * The volume at `target` of one that was waited for, as a tar stream. To be read, or destroyed.
   * Rejects while it may still run: what moves could lead the engine elsewhere.
   */
  readBack(id: string, target: string): Promise<AsyncIterable<Uint8Array>>;
  signal(id: string, name: SignalName, context: ActContext): Promise<void>;
  freeze(id: string, context: ActContext): Promise<void>;
  thaw(id: string, context: ActContext): Promise<void>;
  /**
   * The container with this id, which an earlier daemon let go for the task of this permit, and
   * whose release is on record with its result. Undefined where it is not there any more, or was
   * never started. Rejects with `sandbox.mismatch` where it is not what the permit allows: then it
   * is removed.
   */
  adopt(id: string, permit: Permit, context: ActContext): Promise<Adopted | undefined>;
  remove(id: string, context: ActContext): Promise<void>;
  /** Containers that carry every given label, stopped ones too. */
  list(labels: Readonly<Record<string, string>>): Promise<ContainerState[]>;
  close(): void;
}

export type SignalName = 'SIGTERM' | 'SIGKILL';

/** A container that an earlier daemon let go, and what of it there is to follow. */
export type Adopted = Created & {
  /** As it was when it was looked at. `paused`: frozen, and stays so until `thaw`. */
  found: 'running' | 'paused' | 'exited';
  pid: number | undefined;
  /** The output from here on; nothing of one that has exited. */
  attached: Attached;
  /** What an earlier daemon did not read is lost, or some of it may be. */
  isOutputCut: boolean;
};

export type Created = { id: string; effective: Effective };

/** The first process, by its number on the engine's machine; undefined where nobody can say. */
export type Started = { pid: number | undefined };

/** What goes with a release: files for the task, and records that belong in front of the act's. */
export type Given = {
  secrets?: readonly Secret[];
  receipt?: readonly AnyEntry[];
  /** Its output goes through pipes of its own. The guard knows. */
  isPiped?: boolean;
};

/** A file of a task's own, see `gate.ts`. The name is a plain file name. */
export type Secret = { name: string; value: Uint8Array };

/** What this host adds to every sandbox: needed to ask for it and to know what should come back. */
export type HostFacts = {
  /**
   * A file of two lines for /etc/hosts, see `hosts-file.ts`. Left out where the engine cannot see it:
   * then the engine makes one itself.
   */
  hostsFile?: string;
  /** Hard limits of the host: a container that asks for more does not start. */
  openFilesMax: number;
  processesMax: number;
};
