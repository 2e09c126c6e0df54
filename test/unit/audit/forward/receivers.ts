import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formats } from '#daemon/audit/export/formats.ts';
import { Cursor } from '#daemon/audit/forward/cursor.ts';
import { Forwarder, type ForwarderOptions } from '#daemon/audit/forward/forwarder.ts';
import type { Batch, Target } from '#daemon/audit/forward/target.ts';
import type { Log } from '#daemon/audit/types.ts';

/** Takes what it is told to take. */
export class FakeReceiver implements Target {
  readonly batches: Batch[] = [];
  tries = 0;
  closed = 0;
  onSend: (batch: Batch, signal: AbortSignal) => void | Promise<void> = () => {};

  async send(batch: Batch, signal: AbortSignal): Promise<void> {
    this.tries += 1;
    await this.onSend(batch, signal);
    this.take(batch);
  }

  take(batch: Batch): void {
    this.batches.push(batch);
  }

  close(): Promise<void> {
    this.closed += 1;
    return Promise.resolve();
  }

  get numbers(): number[] {
    return this.batches.flatMap(numbersIn);
  }
}

export function numbersIn({ texts }: { texts: readonly string[] }): number[] {
  return texts.map((text) => (JSON.parse(text) as { seq: number }).seq);
}

export type Folder = { path: string; copy(): Folder } & Disposable;

/** Where a forwarder keeps its place; a copy is what a daemon leaves that dies now. */
export function folder(from?: string): Folder {
  const path = mkdtempSync(join(tmpdir(), 'orchestra-forward-'));
  if (from !== undefined) cpSync(from, path, { recursive: true });
  return {
    path,
    copy: () => folder(path),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

export type Started = AsyncDisposable & { forwarder: Forwarder; cursor: Cursor };

export async function forward(
  log: Log,
  target: Target,
  {
    dir,
    from = 'start',
    onCursor,
    ...more
  }: Partial<ForwarderOptions> & {
    dir: string;
    from?: 'start' | 'end';
    onCursor?: (cursor: Cursor) => void;
  },
): Promise<Started> {
  const cursor = await Cursor.open(dir, 'siem', { log, from });
  onCursor?.(cursor);
  const forwarder = new Forwarder({
    log,
    name: 'siem',
    to: 'https://siem.example/',
    formatName: 'jsonl',
    target,
    cursor,
    format: formats.jsonl,
    fits: undefined,
    about: { origin: log.origin, host: 'box', version: '0.1.0' },
    recordsMax: 10,
    now: () => Date.now(),
    random: () => 0,
    lingerMs: 0,
    tickMs: 5,
    wait: () => 1,
    ...more,
  });
  forwarder.start();
  return { forwarder, cursor, [Symbol.asyncDispose]: () => forwarder.close() };
}

/** Waits for what has to come; the test's own time limit ends it. */
export async function eventually(isThere: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isThere())) await sleep(2);
}
