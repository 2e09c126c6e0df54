import type { RecordData } from '#contract/records.ts';
import type { SandboxResult } from '../sandbox/sandbox.ts';

type Peaks = Pick<
  RecordData<'task.finished'>,
  | 'cpu_ms'
  | 'memory_peak_bytes'
  | 'cpu_throttled_ms'
  | 'pids_peak'
  | 'open_files_peak'
  | 'disk_bytes'
  | 'disk_files'
  | 'tmp_peak_bytes'
>;

/** The most that a task used of everything, in the words of its record. What is not known is left out. */
export function peaksOf({ usage, disk }: Pick<SandboxResult, 'usage' | 'disk'>): Peaks {
  const { throttledMs, pidsPeak, openFiles, tmpBytes } = usage;
  return {
    cpu_ms: usage.cpuMs,
    memory_peak_bytes: usage.memoryPeakBytes,
    ...(throttledMs === undefined ? {} : { cpu_throttled_ms: throttledMs }),
    ...(pidsPeak === undefined ? {} : { pids_peak: pidsPeak }),
    ...(openFiles === undefined ? {} : { open_files_peak: openFiles }),
    ...(disk === undefined ? {} : { disk_bytes: disk.bytes, disk_files: disk.files }),
    ...(tmpBytes === undefined ? {} : { tmp_peak_bytes: tmpBytes }),
  };
}
