import { readdirSync, readFileSync } from 'node:fs';

/**
 * Memory of everything that exists for these containers: their processes and those of engine and
 * runtime that name one of them (shim, monitor, gVisor's kernel and its file server). Each page that
 * several share is divided among them, which is what PSS means.
 */
export function memoryOf(containers: readonly string[]): number {
  const isOf = (text: string) => containers.some((id) => text.includes(id));
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => isOf(read(`/proc/${pid}/cgroup`)) || isOf(read(`/proc/${pid}/cmdline`)))
    .reduce((sum, pid) => sum + pssOf(pid), 0);
}

function pssOf(pid: string): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
