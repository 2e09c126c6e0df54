import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AnyRecord } from '#contract/records.ts';
import { nodeDisk, type LogDisk, type LogFile } from '#daemon/audit/disk.ts';
import { openLog, type LogOptions } from '#daemon/audit/log.ts';
import type { AnyEntry, Log, LogLine } from '#daemon/audit/types.ts';
import type { Clock } from '#daemon/base/clock.ts';

export type TestLog = AsyncDisposable & { log: Log; dir: string; folded: AnyRecord[] };

export async function tempDir(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'orchestra-audit-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** An open log in a folder of its own; the folder goes when it is disposed. */
export async function testLog(options: Partial<LogOptions> = {}): Promise<TestLog> {
  const temp = await tempDir();
  const dir = options.dir ?? join(temp.path, 'audit');
  const folded: AnyRecord[] = [];
  const log = await reopen(dir, { onRecord: (record) => void folded.push(record), ...options });
  return {
    log,
    dir,
    folded,
    async [Symbol.asyncDispose]() {
      await log.close();
      await temp[Symbol.asyncDispose]();
    },
  };
}

export function reopen(dir: string, options: Partial<LogOptions> = {}): Promise<Log> {
  return openLog({ dir, version: '0.0.0', origin: 'test', reserveBytes: 0, ...options });
}

/** The files as a crash would leave them now. */
export async function copyOf(dir: string): Promise<AsyncDisposable & { path: string }> {
  const temp = await tempDir();
  await cp(dir, join(temp.path, 'audit'), { recursive: true });
  return { path: join(temp.path, 'audit'), [Symbol.asyncDispose]: temp[Symbol.asyncDispose] };
}

export const noise = (what: string): AnyEntry => ({
  type: 'daemon.error',
  data: { code: 'test', what },
});

export const skipped = (run: string, reason = 'because'): AnyEntry => ({
  type: 'task.skipped',
  run,
  data: { reason },
});

export const closed = (run: string): AnyEntry => ({
  type: 'run.closed',
  run,
  data: { outcome: 'succeeded', artifacts: 0, duration_ms: 1, exit_code: 0, reason: '' },
});

export async function all(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
  return Array.fromAsync(lines);
}

/** A disk that counts, and that fails on demand. */
export class FlakyDisk implements LogDisk {
  syncs = 0;
  appends = 0;
  onAppend: (bytes: Buffer, file: LogFile) => Promise<void> = (bytes, file) => file.append(bytes);
  onSync: (file: LogFile) => Promise<void> = (file) => file.datasync();

  async create(path: string): Promise<LogFile> {
    return this.wrap(await nodeDisk.create(path));
  }

  async open(path: string): Promise<LogFile> {
    return this.wrap(await nodeDisk.open(path));
  }

  private wrap(file: LogFile): LogFile {
    return {
      append: (bytes) => {
        this.appends += 1;
        return this.onAppend(bytes, file);
      },
      datasync: () => {
        this.syncs += 1;
        return this.onSync(file);
      },
      seal: () => file.seal(),
      close: () => file.close(),
    };
  }
}

export class FakeClock implements Clock {
  wall = Date.UTC(2026, 0, 1);
  micros = 1_000_000;
  boot = 'boot-1';

  now(): number {
    return this.wall;
  }

  mono(): number {
    return this.micros;
  }

  pass(ms: number): void {
    this.wall += ms;
    this.micros += ms * 1000;
  }
}
