import { z } from 'zod';
import { Duration, Size } from './units.ts';

/**
 * What one task may use. Every limit is always set; a plan or a narrower policy can only lower it.
 * Memory is without swap; `outputBytes` counts stdout and stderr together.
 */
export type Limits = {
  cpuMilli: number;
  memoryBytes: number;
  pids: number;
  openFiles: number;
  fileSizeBytes: number;
  tmpBytes: number;
  outputBytes: number;
  timeoutMs: number;
};

export const limitNames = [
  'cpuMilli',
  'memoryBytes',
  'pids',
  'openFiles',
  'fileSizeBytes',
  'tmpBytes',
  'outputBytes',
  'timeoutMs',
] as const satisfies readonly (keyof Limits)[];

const whole = (max: number) => z.number().int().min(1).max(max);

/** Limits as documents write them: `cpus: 1.5`, `memory: 2GiB`, `timeout: 10m`. */
export const LimitsDocument = z.strictObject({
  cpus: z.number().min(0.01).max(1024),
  memory: Size,
  pids: whole(1_000_000),
  open_files: whole(1_000_000),
  file_size: Size,
  tmp: Size,
  output: Size,
  timeout: Duration,
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
    tmpBytes: document.tmp,
    outputBytes: document.output,
    timeoutMs: document.timeout,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}
