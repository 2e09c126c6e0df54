import * as fs from 'node:fs';
import { chmod, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RoomAhead } from './room-ahead.ts';

/**
 * What the writer does to files. A seam for tests that make the disk fail; nothing is ever tried
 * again after an error, because a second fsync may say yes to pages that the kernel has dropped.
 */
export interface LogDisk {
  /** A new or an empty segment, its name durable in its folder. */
  create(path: string): Promise<LogFile>;
  /** An existing segment, to be continued. */
  open(path: string): Promise<LogFile>;
}

export interface LogFile {
  /** Writes all of it at the end of the file. */
  append(bytes: Buffer): Promise<void>;
  datasync(): Promise<void>;
  /** Nothing more will come: durable and read-only. */
  seal(): Promise<void>;
  close(): Promise<void>;
}

export const nodeDisk: LogDisk = {
  async create(path) {
    const file = await open(path, 'a', 0o600);
    await file.sync();
    await syncFolder(dirname(path));
    return new NodeFile(file, path, 0);
  },
  async open(path) {
    const file = await open(path, 'a', 0o600);
    return new NodeFile(file, path, (await file.stat()).size);
  },
};

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

class NodeFile implements LogFile {
  private readonly file: fs.promises.FileHandle;
  private readonly path: string;
  private readonly ahead: RoomAhead;

  constructor(file: fs.promises.FileHandle, path: string, size: number) {
    this.file = file;
    this.path = path;
    this.ahead = new RoomAhead(file.fd, size);
  }

  async append(bytes: Buffer): Promise<void> {
    // A disk that fills up writes a part first and fails on the rest.
    for (let written = 0; written < bytes.length;) {
      written += await write(this.file.fd, bytes, written);
    }
    this.ahead.used(bytes.length);
  }

  datasync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.file.fd, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  async seal(): Promise<void> {
    this.ahead.giveBack();
    await this.file.sync();
    await chmod(this.path, 0o440);
  }

  close(): Promise<void> {
    this.ahead.giveBack();
    return this.file.close();
  }
}

// The callback functions: a promise of node:fs/promises costs more than the write it stands for.
function write(fd: number, bytes: Buffer, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error !== null) reject(error);
      else if (written === 0) reject(new Error('the disk took no bytes'));
      else resolve(written);
    });
  });
}
