import { open, truncate, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { headLine, headsName, readHeads } from '#verifier/heads.ts';
import { syncFolder } from './disk.ts';
import { RoomAhead } from './room-ahead.ts';
import type { LogHead } from './types.ts';

// Some hundreds of heads: more than a full disk leaves runs to close.
const aheadBytes = 64 * 1024;

/**
 * `heads.jsonl`: what the log once was, noted beside it, so that a log that got shorter is noticed
 * at the next start. Made before the first record: a log without it has lost it.
 */
export class HeadsFile {
  private readonly file: FileHandle;
  private readonly ahead: RoomAhead;
  private saved: LogHead | undefined;
  private saving: Promise<void> | undefined;
  private wanted: LogHead | undefined;

  private constructor(file: FileHandle, size: number, saved: LogHead | undefined) {
    this.file = file;
    this.ahead = new RoomAhead(file.fd, size, aheadBytes);
    this.saved = saved;
  }

  static async open(dir: string): Promise<HeadsFile> {
    const path = join(dir, headsName);
    const heads = await readHeads(dir);
    if (heads !== undefined && heads.end < heads.bytes) await truncate(path, heads.end);
    const file = await open(path, 'a', 0o600);
    await file.sync();
    if (heads === undefined) await syncFolder(dirname(path));
    return new HeadsFile(file, (await file.stat()).size, heads?.newest);
  }

  /** Durable once it resolves. Calls that meet a save in flight share the one after it. */
  async save(head: LogHead): Promise<void> {
    if (this.isSaved(head) && this.saving === undefined) return;
    this.wanted = head;
    while (this.saving !== undefined) await this.saving;
    if (this.wanted === undefined || this.isSaved(this.wanted)) return;
    this.saving = this.write(this.wanted);
    this.wanted = undefined;
    try {
      await this.saving;
    } finally {
      this.saving = undefined;
    }
  }

  async close(): Promise<void> {
    this.ahead.giveBack();
    await this.file.close();
  }

  private async write(head: LogHead): Promise<void> {
    const line = headLine(head);
    await this.file.appendFile(line);
    await this.file.datasync();
    this.ahead.used(Buffer.byteLength(line));
    this.saved = head;
  }

  // Size and hash: after an acknowledged loss the same size may come again.
  private isSaved(head: LogHead): boolean {
    return head.size === this.saved?.size && head.hash === this.saved.hash;
  }
}
