import { OrchestraError } from '#contract/errors.ts';
import type { ByteString } from '#contract/path-bytes.ts';

/**
 * The tar format as far as engines speak it (POSIX.1-2001 "pax", and GNU's long names): names are
 * bytes, whatever they spell, and a file may be larger than its eleven octal digits. The library for
 * tar streams reads names as UTF-8 and would hand back others than were there.
 */
export type TarKind = 'file' | 'hard link' | 'symlink' | 'device' | 'dir' | 'fifo';
export type TarEntry = {
  kind: TarKind;
  /** As it stands in the header, slashes in front or at the end included. */
  name: ByteString;
  /** Of a link: where it leads. */
  target: ByteString;
  mode: number;
  /** Of what follows the header. */
  size: number;
  /** Seconds. */
  mtime: number;
};

export const blockBytes = 512;
/** The largest number that eleven octal digits can say. */
const octalMax = 0o77777777777;
const nameMax = 100;

export const padding = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes;

const flagOf: Readonly<Record<TarKind, string>> = {
  file: '0',
  'hard link': '1',
  symlink: '2',
  device: '3',
  dir: '5',
  fifo: '6',
};
const kindOf: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hard link',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'dir',
  '6': 'fifo',
};

/** The blocks in front of an entry's content, those of its long names included. */
export function headerOf(entry: TarEntry, owner: { uid: number; gid: number }): Buffer {
  const long: [string, ByteString][] = [];
  if (entry.name.length > nameMax) long.push(['path', entry.name]);
  if (entry.target.length > nameMax) long.push(['linkpath', entry.target]);
  if (entry.size > octalMax) long.push(['size', String(entry.size)]);
  const header = plainHeader(flagOf[entry.kind], { ...entry, owner });
  if (long.length === 0) return header;
  const records = Buffer.from(long.map(([key, value]) => record(key, value)).join(''), 'latin1');
  const said = { name: 'pax', target: '', mode: 0o644, size: records.length, mtime: 0, owner };
  return Buffer.concat([
    plainHeader('x', said),
    records,
    Buffer.alloc(padding(records.length)),
    header,
  ]);
}

function plainHeader(
  flag: string,
  {
    name,
    target,
    mode,
    size,
    mtime,
    owner,
  }: Omit<TarEntry, 'kind'> & { owner: { uid: number; gid: number } },
): Buffer {
  const header = Buffer.alloc(blockBytes);
  const text = (at: number, length: number, value: string) =>
    void header.write(value.slice(0, length), at, 'latin1');
  const octal = (at: number, length: number, value: number) =>
    text(
      at,
      length,
      `${Math.max(0, value)
        .toString(8)
        .padStart(length - 1, '0')}\0`,
    );
  text(0, nameMax, name);
  octal(100, 8, mode);
  octal(108, 8, owner.uid);
  octal(116, 8, owner.gid);
  octal(124, 12, size > octalMax ? 0 : size);
  octal(136, 12, Math.min(mtime, octalMax));
  text(148, 8, ' '.repeat(8));
  text(156, 1, flag);
  text(157, nameMax, target);
  text(257, 8, 'ustar\x0000');
  text(148, 8, `${sum(header).toString(8).padStart(6, '0')}\0 `);
  return header;
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function record(key: string, value: ByteString): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length > length) length += 1;
  return `${length}${rest}`;
}

function sum(header: Uint8Array): number {
  let all = 0;
  for (const byte of header) all += byte;
  return all;
}

/** What a header says, or that its content belongs to the next one. */
export type Parsed =
  { kind: 'end' } | { kind: 'pax' | 'long name' | 'long target'; size: number } | TarEntry;

/** Reads one block; throws where it is no header, or one of a kind that nobody should send. */
export function parseHeader(header: Buffer): Parsed {
  if (header.every((byte) => byte === 0)) return { kind: 'end' };
  const said = number(header.subarray(148, 156));
  const blank = Buffer.from(header);
  blank.fill(' ', 148, 156);
  if (sum(blank) !== said) throw badTar('a header whose sum is wrong');
  const flag = header.toString('latin1', 156, 157);
  const size = number(header.subarray(124, 136));
  if (flag === 'x') return { kind: 'pax', size };
  if (flag === 'L') return { kind: 'long name', size };
  if (flag === 'K') return { kind: 'long target', size };
  const kind = kindOf[flag];
  if (kind === undefined) throw badTar('an entry of an unknown kind');
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? text(header, 345, 155) : '';
  const name = text(header, 0, nameMax);
  return {
    kind,
    name: prefix === '' ? name : `${prefix}/${name}`,
    target: text(header, 157, nameMax),
    mode: number(header.subarray(100, 108)),
    // A link has no content, whatever some writers put there.
    size: kind === 'file' ? size : 0,
    mtime: number(header.subarray(136, 148)),
  };
}

/** Whom an entry belongs to, by its header alone. */
export function ownerIn(header: Buffer): { uid: number; gid: number } {
  return { uid: number(header.subarray(108, 116)), gid: number(header.subarray(116, 124)) };
}

/** The records in front of an entry that say what its header has no room for. */
export function parseRecords(records: Buffer): Partial<TarEntry> {
  const said: Partial<TarEntry> = {};
  for (let at = 0; at < records.length;) {
    const space = records.indexOf(' ', at);
    const length = Number(records.toString('latin1', at, space));
    const isRight =
      space > at &&
      space - at < 9 &&
      Number.isInteger(length) &&
      length > space - at + 2 &&
      at + length <= records.length &&
      records[at + length - 1] === 10;
    if (!isRight) throw badTar('a record that is malformed');
    const line = records.toString('latin1', space + 1, at + length - 1);
    const equals = line.indexOf('=');
    if (equals < 1) throw badTar('a record that is malformed');
    take(said, line.slice(0, equals), line.slice(equals + 1));
    at += length;
  }
  return said;
}

function take(said: Partial<TarEntry>, key: string, value: ByteString): void {
  if (key === 'path') said.name = value;
  else if (key === 'linkpath') said.target = value;
  else if (key.startsWith('GNU.sparse.')) throw badTar('a file with holes');
  else if (key === 'size') {
    const size = Number(value);
    if (!/^\d{1,16}$/.test(value) || !Number.isSafeInteger(size)) throw badTar('a malformed size');
    said.size = size;
  }
}

/** Octal digits, or where they do not suffice a number in base 256. */
function number(field: Buffer): number {
  const [first = 0] = field;
  if ((first & 0x80) !== 0) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, first & 0x3f);
    if (first === 0xff || !Number.isSafeInteger(value)) throw badTar('a number out of range');
    return value;
  }
  const digits = field.toString('latin1').replaceAll('\0', ' ').trim();
  if (!/^[0-7]*$/.test(digits)) throw badTar('a number that is none');
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function text(header: Buffer, at: number, length: number): ByteString {
  const field = header.toString('latin1', at, at + length);
  const end = field.indexOf('\0');
  return end < 0 ? field : field.slice(0, end);
}

export function badTar(what: string): OrchestraError {
  return new OrchestraError('workspace.invalid', `The engine sent a tar stream with ${what}`);
}
