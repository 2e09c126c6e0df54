import { constants } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { isTokenText } from '#contract/tokens.ts';
import type { Env } from '../terminal/streams.ts';
import { writeFileFresh } from '../write-file.ts';
import type { NetworkAddress } from './address.ts';

const tokenBytesMax = 4096;
const pemBytesMax = 1024 * 1024;

/**
 * What is shown to a daemon over the network, and what its certificate is checked with: from files
 * only. A token is never an argument and never in the environment, which others can read.
 */
export async function withCredentials(address: NetworkAddress, env: Env): Promise<NetworkAddress> {
  const trust = await readTrust(env);
  const named = said(env, 'ORCHESTRA_TOKEN_FILE');
  const token = await readToken(named ?? tokenFile(address.url, env), named !== undefined);
  return { ...address, trust, token };
}

/** Where `orchestra login` keeps the token for a daemon. */
export function tokenFile(url: string, env: Env): string {
  const base = env['XDG_CONFIG_HOME'];
  const dir =
    base !== undefined && path.isAbsolute(base)
      ? base
      : path.join(env['HOME'] ?? homedir(), '.config');
  return path.join(dir, 'orchestra/tokens', encodeURIComponent(url));
}

export async function keepToken(url: string, token: string, env: Env): Promise<string> {
  const file = tokenFile(url, env);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFileFresh(file, [Buffer.from(`${token}\n`)], { mode: 0o600, durable: true });
  return file;
}

/** Whether there was one. */
export async function dropToken(url: string, env: Env): Promise<boolean> {
  try {
    await rm(tokenFile(url, env));
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw cause;
  }
}

/** The token in a text that somebody pasted or a file held. Never says what it was instead. */
export function tokenIn(text: string, from: string): string {
  const token = text.trim();
  if (isTokenText(token)) return token;
  throw new OrchestraError('token.invalid', `What ${from} holds is not a whole token`, {
    hint: 'it begins with orc_ and has 53 letters and digits; copy all of it',
  });
}

async function readToken(file: string, must: boolean): Promise<string | undefined> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const facts = await handle.stat();
    if (!facts.isFile()) throw unsafe(file, 'is no file');
    const own = process.getuid?.() ?? facts.uid;
    if (facts.uid !== own && facts.uid !== 0) throw unsafe(file, 'belongs to somebody else');
    if ((facts.mode & 0o077) !== 0) throw unsafe(file, 'can be read by others');
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(tokenBytesMax), 0, tokenBytesMax);
    return tokenIn(buffer.toString('latin1', 0, bytesRead), file);
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    if (!must && (cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unread('ORCHESTRA_TOKEN_FILE', file, cause);
  }
}

function unsafe(file: string, why: string): OrchestraError {
  return new OrchestraError('config.invalid', `${file} ${why}, and a token is as good as you`, {
    hint: `chmod 600 ${file}; if others may have seen it: orchestra token revoke ID`,
  });
}

/** What the daemon's certificate is checked with, and what is shown to it. */
export async function readTrust(env: Env): Promise<NonNullable<NetworkAddress['trust']>> {
  const [ca, cert, key] = await Promise.all([
    pem(env, 'ORCHESTRA_CA_FILE'),
    pem(env, 'ORCHESTRA_CLIENT_CERT_FILE'),
    pem(env, 'ORCHESTRA_CLIENT_KEY_FILE'),
  ]);
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

async function pem(env: Env, name: string): Promise<Buffer | undefined> {
  const file = said(env, name);
  if (file === undefined) return undefined;
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw unread(name, file, cause);
  });
  if (bytes.length <= pemBytesMax && bytes.includes('-----BEGIN ')) return bytes;
  throw new OrchestraError('config.invalid', `${file} of ${name} is not in PEM`, {
    hint: 'it begins with -----BEGIN CERTIFICATE----- or the like',
  });
}

function unread(name: string, file: string, cause: unknown): OrchestraError {
  return new OrchestraError('config.invalid', `${file} cannot be read`, {
    hint: `check the path in ${name} and its permissions`,
    cause,
  });
}

function said(env: Env, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : value;
}
