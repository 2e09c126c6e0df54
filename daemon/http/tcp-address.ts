import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { OrchestraError } from '#contract/errors.ts';

/** `host` without brackets. */
export type TcpAddress = { host: string; port: number };

const namePattern =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/** Reads `127.0.0.1:7457`, `[::1]:7457` or `name:7457`; undefined where it is none of these. */
export function parseTcpAddress(text: string): TcpAddress | undefined {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/@\s]+)):(\d{1,5})$/.exec(text);
  if (found === null) return undefined;
  const [, six, other = '', digits] = found;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  if (six !== undefined) return isIP(six) === 6 ? { host: six, port } : undefined;
  // What is neither is left to nobody's reading: to a resolver `127.1` is an address as well.
  return isIP(other) === 4 || namePattern.test(other) ? { host: other, port } : undefined;
}

/** As a URL and a `Host` header write it. */
export function spellTcpAddress({ host, port }: TcpAddress): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** Whether an address, parsed and not read as text, stays on this machine. */
export function isLoopback(ip: string): boolean {
  const family = isIP(ip);
  if (family === 0) return false;
  const own = new BlockList();
  own.addSubnet('127.0.0.0', 8, 'ipv4');
  own.addAddress('::1', 'ipv6');
  return own.check(ip, family === 6 ? 'ipv6' : 'ipv4');
}

/** Every address of the machine is meant: none of them is a name that a caller could use. */
export function isWildcard(ip: string): boolean {
  const every = new BlockList();
  every.addAddress('0.0.0.0', 'ipv4');
  every.addAddress('::', 'ipv6');
  return isIP(ip) !== 0 && every.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');
}

/** What to bind to, and whether all of it stays on this machine. A name is asked about once, here. */
export async function resolveTcp(
  { host, port }: TcpAddress,
  resolve: (name: string) => Promise<string[]> = addressesOf,
): Promise<{ ip: string; port: number; isLocal: boolean }> {
  const all = isIP(host) === 0 ? await resolve(host) : [host];
  const [ip] = all;
  if (ip === undefined) throw unresolved(host);
  return { ip, port, isLocal: all.every(isLoopback) };
}

async function addressesOf(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw unresolved(name, cause);
  }
}

function unresolved(name: string, cause?: unknown): OrchestraError {
  return new OrchestraError('config.invalid', `${name} of "listen" is no address of anything`, {
    hint: 'write an address of this machine, such as 127.0.0.1:7457',
    cause,
  });
}
