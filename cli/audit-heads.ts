import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import type { Client } from './client/client.ts';
import { memoryDir } from './memory/store.ts';
import type { Env } from './terminal/streams.ts';

/**
 * The newest head of each log that this user has seen, kept outside the reach of the daemon. A
 * chain alone cannot show that its tail was cut, or all of it replaced; this memory can.
 */
const Head = z.strictObject({
  size: z.number().int().min(0),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});
const Heads = z.strictObject({
  version: z.literal(1),
  /** By the log's own name. */
  logs: z.record(z.string(), Head),
  /** Which log a socket served when it was last asked. */
  sockets: z.record(z.string(), z.string()),
});
export type AuditHead = z.infer<typeof Head>;
type Heads = z.infer<typeof Heads>;

const keptMax = 256;

export type HeadCheck =
  | { holds: true; known: AuditHead | undefined }
  | { holds: false; reason: 'rolled_back' | 'changed' | 'other_log'; detail: string };

/** Compares the log that the daemon serves now with what was seen before. */
export async function checkHead(env: Env, client: Client): Promise<HeadCheck> {
  const heads = await readHeads(env);
  const first = await client.call('auditHead');
  const seen = heads.logs[first.origin]?.size ?? 0;
  const now = seen === 0 ? first : await client.call('auditHead', { query: { seq: seen - 1 } });
  const served = heads.sockets[client.key];
  if (served !== undefined && served !== now.origin) {
    const before = heads.logs[served];
    const detail = `${client.address} served the log ${served} with ${before?.size ?? 0} records before, now it serves ${now.origin}`;
    return { holds: false, reason: 'other_log', detail };
  }
  const known = heads.logs[now.origin];
  if (known === undefined || known.size === 0) return { holds: true, known: undefined };
  if (now.size < known.size) {
    const detail = `the log had ${known.size} records when it was last seen, now it has ${now.size}`;
    return { holds: false, reason: 'rolled_back', detail };
  }
  const hash = now.size === known.size ? now.hash : now.at;
  if (hash === undefined) {
    throw new OrchestraError('record.unknown', `Record ${known.size - 1} is not there any more`, {
      hint: 'orchestra audit verify',
    });
  }
  if (hash === known.hash) return { holds: true, known };
  const detail = `record #${known.size - 1} is not the one that was there when the log was last seen`;
  return { holds: false, reason: 'changed', detail };
}

/** Notes the head that the daemon has now; never an older one over a newer one of the same log. */
export async function rememberHead(
  env: Env,
  client: Client,
  { acceptNewLog = false, isTemporary = false } = {},
): Promise<AuditHead> {
  const heads = await readHeads(env);
  const { size, hash, origin } = await client.call('auditHead');
  const served = heads.sockets[client.key];
  const isOther = served !== undefined && served !== origin;
  // The socket of `--local` is a new one each time: nothing is to be learned from its name.
  if (!isTemporary && (!isOther || acceptNewLog)) heads.sockets[client.key] = origin;
  const known = heads.logs[origin];
  if (known === undefined || size >= known.size || acceptNewLog)
    heads.logs[origin] = { size, hash };
  await writeHeads(env, heads);
  return { size, hash };
}

/** Which log a socket served, as an older version of this program kept it. */
export async function servedBefore(env: Env, socket: string): Promise<string | undefined> {
  const { sockets } = await readHeads(env);
  return Object.hasOwn(sockets, socket) ? sockets[socket] : undefined;
}

/** What was last seen of a log, by its own name. */
export async function knownHead(env: Env, origin: string): Promise<AuditHead | undefined> {
  const { logs } = await readHeads(env);
  return Object.hasOwn(logs, origin) ? logs[origin] : undefined;
}

function headsFile(env: Env): string {
  return path.join(memoryDir(env), 'heads.json');
}

async function readHeads(env: Env): Promise<Heads> {
  let text: string;
  try {
    text = await readFile(headsFile(env), 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw unreadable(env, cause);
    return { version: 1, logs: {}, sockets: {} };
  }
  try {
    return Heads.parse(JSON.parse(text));
  } catch (cause) {
    throw unreadable(env, cause);
  }
}

// Not taken for "nothing known": then damaging this file would be a way round the check.
function unreadable(env: Env, cause: unknown): OrchestraError {
  return new OrchestraError('config.invalid', `${headsFile(env)} cannot be read`, {
    hint: 'it remembers the audit heads that you have seen; mend or remove it',
    cause,
  });
}

async function writeHeads(env: Env, heads: Heads): Promise<void> {
  const file = headsFile(env);
  const newest = <T>(table: Record<string, T>) =>
    Object.fromEntries(Object.entries(table).slice(-keptMax));
  const kept: Heads = { version: 1, logs: newest(heads.logs), sockets: newest(heads.sockets) };
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}
