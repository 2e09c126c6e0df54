import { z } from 'zod';
import { Duration, formatDuration, formatSize, Size, spellDuration, spellSize } from './units.ts';

/**
 * What one task may use. Every limit is always set; a plan or a narrower policy can only lower it.
 * Memory is without swap; `outputBytes` counts stdout and stderr together. `diskBytes` and
 * `diskFiles` are what the task adds to its layers, as the file system accounts for it. `idleMs` is
 * how long a task may say nothing, however busy it is.
 */
export type Limits = {
  cpuMilli: number;
  memoryBytes: number;
  pids: number;
  openFiles: number;
  fileSizeBytes: number;
  diskBytes: number;
  diskFiles: number;
  tmpBytes: number;
  outputBytes: number;
  timeoutMs: number;
  idleMs: number;
};

export const limitNames = [
  'cpuMilli',
  'memoryBytes',
  'pids',
  'openFiles',
  'fileSizeBytes',
  'diskBytes',
  'diskFiles',
  'tmpBytes',
  'outputBytes',
  'timeoutMs',
  'idleMs',
] as const satisfies readonly (keyof Limits)[];

const whole = (max: number) => z.number().int().min(1).max(max);
// Engines read 0 as "no limit" and refuse a memory below 6 MiB.
const atLeast = (bytes: number) =>
  Size.refine((value) => value >= bytes, `must be at least ${formatSize(bytes)}`);

/** Limits as documents write them: `cpus: 1.5`, `memory: 2GiB`, `timeout: 10m`. */
export const LimitsDocument = z.strictObject({
  cpus: z.number().min(0.01).max(1024),
  memory: atLeast(6 * 1024 ** 2),
  pids: whole(1_000_000),
  open_files: whole(1_000_000),
  file_size: atLeast(1),
  disk: atLeast(1),
  disk_files: whole(100_000_000),
  tmp: atLeast(1),
  output: atLeast(1),
  timeout: Duration,
  idle: Duration,
});
export type LimitsDocument = z.infer<typeof LimitsDocument>;

/** The document's words → the words of the code; what the document leaves out stays out. */
export function limitsFrom(document: {
  [K in keyof LimitsDocument]?: LimitsDocument[K] | undefined;
}): Partial<Limits> {
  const found: { [K in keyof Limits]?: number | undefined } = {
    cpuMilli: document.cpus === undefined ? undefined : Math.round(document.cpus * 1000),
    memoryBytes: document.memory,
    pids: document.pids,
    openFiles: document.open_files,
    fileSizeBytes: document.file_size,
    diskBytes: document.disk,
    diskFiles: document.disk_files,
    tmpBytes: document.tmp,
    outputBytes: document.output,
    timeoutMs: document.timeout,
    idleMs: document.idle,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

/** The words of the code → the document's words, in the spelling that a document would use. */
export function spellLimits(limits: Partial<Limits>): Partial<z.input<typeof LimitsDocument>> {
  const found = {
    cpus: limits.cpuMilli === undefined ? undefined : limits.cpuMilli / 1000,
    memory: spelt(limits.memoryBytes, spellSize),
    pids: limits.pids,
    open_files: limits.openFiles,
    file_size: spelt(limits.fileSizeBytes, spellSize),
    disk: spelt(limits.diskBytes, spellSize),
    disk_files: limits.diskFiles,
    tmp: spelt(limits.tmpBytes, spellSize),
    output: spelt(limits.outputBytes, spellSize),
    timeout: spelt(limits.timeoutMs, spellDuration),
    idle: spelt(limits.idleMs, spellDuration),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

function spelt(value: number | undefined, spell: (value: number) => string): string | undefined {
  return value === undefined ? undefined : spell(value);
}

/** One limit for people: `2 GiB`, `1.5 cpus`, `512 pids`. */
export function formatLimit(name: keyof Limits, value: number): string {
  switch (name) {
    case 'cpuMilli':
      return `${value / 1000} cpus`;
    case 'pids':
      return `${value} pids`;
    case 'openFiles':
      return `${value} open files`;
    case 'diskFiles':
      return `${value} files`;
    case 'timeoutMs':
    case 'idleMs':
      return formatDuration(value);
    default:
      return formatSize(value);
  }
}

/** How documents call a limit, for messages. */
export const limitWords: Readonly<Record<keyof Limits, string>> = {
  cpuMilli: 'cpus',
  memoryBytes: 'memory',
  pids: 'pids',
  openFiles: 'open_files',
  fileSizeBytes: 'file_size',
  diskBytes: 'disk',
  diskFiles: 'disk_files',
  tmpBytes: 'tmp',
  outputBytes: 'output',
  timeoutMs: 'timeout',
  idleMs: 'idle',
};

/**
 * The limits that can end an attempt, and which value each one is compared with. Processor time is
 * not among them: the kernel slows a task down to it, and tells for how long.
 */
export const endingLimits = {
  timeout: 'timeoutMs',
  idle: 'idleMs',
  memory: 'memoryBytes',
  output: 'outputBytes',
  pids: 'pids',
  open_files: 'openFiles',
  file_size: 'fileSizeBytes',
  tmp: 'tmpBytes',
  disk: 'diskBytes',
  disk_files: 'diskFiles',
} as const satisfies Readonly<Record<string, keyof Limits>>;

/** `limit.disk: 2 GiB allowed, 2.1 GiB used`. */
export function limitSentence(hit: {
  limit: keyof typeof endingLimits;
  allowed: number;
  peak?: number | undefined;
}): string {
  const name = endingLimits[hit.limit];
  const used = hit.peak === undefined ? '' : `, ${formatLimit(name, hit.peak)} used`;
  return `limit.${hit.limit}: ${formatLimit(name, hit.allowed)} allowed${used}`;
}
