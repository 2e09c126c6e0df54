import { existsSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { defaultPaths } from '#setup/paths.ts';
import type { Env } from '../terminal/streams.ts';
import { spellAddress, type Address, type NetworkAddress } from './address.ts';

// The kernel keeps 108 bytes for a socket's address, one of them for the end.
const socketPathMax = 107;

export type Host = {
  address: Address;
  /** As the user would write it. */
  text: string;
  origin: '--host' | 'ORCHESTRA_HOST' | 'default';
};

/**
 * Which daemon is meant: `--host`, then ORCHESTRA_HOST, then the default socket of this user; where
 * that is not there and the machine has a daemon for everybody, the machine's.
 */
export function chooseHost(
  flag: string | undefined,
  env: Env,
  isThere: (path: string) => boolean = existsSync,
): Host {
  const chosen = (address: Address, origin: Host['origin']): Host => ({
    address,
    text: spellAddress(address),
    origin,
  });
  if (flag !== undefined) return chosen(parseHost(flag, '--host'), '--host');
  const named = env['ORCHESTRA_HOST'];
  if (named !== undefined && named !== '') {
    return chosen(parseHost(named, 'ORCHESTRA_HOST'), 'ORCHESTRA_HOST');
  }
  const uid = process.getuid?.() ?? -1;
  const own = defaultPaths(env, uid).socket;
  const ofMachine = defaultPaths({}, 0).socket;
  const socket = !isThere(own) && isThere(ofMachine) ? ofMachine : own;
  return chosen({ kind: 'socket', path: socket }, 'default');
}

export function parseHost(text: string, source: string): Address {
  return /^https?:/i.test(text) ? parseUrl(text, source) : parseSocket(text, source);
}

function parseSocket(text: string, source: string): Address {
  const socketPath = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (!path.isAbsolute(socketPath) || socketPath.includes('\0')) {
    throw new OrchestraError('usage.invalid', `${source} is not the address of a daemon: ${text}`, {
      hint: 'write unix:///path/to/orchestra.sock or https://host:port',
    });
  }
  if (Buffer.byteLength(socketPath) > socketPathMax) {
    throw new OrchestraError(
      'usage.invalid',
      `${source} names a socket path longer than ${socketPathMax} bytes, which no system can open`,
      { hint: 'use a shorter path' },
    );
  }
  return { kind: 'socket', path: path.normalize(socketPath) };
}

/** Nothing but a scheme, a host and a port: what else a URL can hold has no meaning here. */
function parseUrl(text: string, source: string): NetworkAddress {
  const url = URL.parse(text);
  const isBare =
    url !== null &&
    url.hostname !== '' &&
    `${url.username}${url.password}${url.search}${url.hash}` === '' &&
    url.pathname === '/';
  if (!isBare) {
    // It may hold a password: what was written is not said again.
    throw new OrchestraError('usage.invalid', `${source} is not the address of a daemon`, {
      hint: 'write https://host:port and nothing behind it; tokens go by orchestra login',
    });
  }
  const tls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (!tls && !staysHere(host)) {
    throw new OrchestraError('usage.invalid', `${url.origin} would send a token in clear`, {
      hint: `write https://${url.host}; http:// is for this machine only`,
    });
  }
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  return { kind: 'network', url: url.origin, host, port, tls };
}

function staysHere(host: string): boolean {
  const own = new BlockList();
  own.addSubnet('127.0.0.0', 8, 'ipv4');
  own.addAddress('::1', 'ipv6');
  const family = isIP(host);
  return family === 0 ? host === 'localhost' : own.check(host, family === 6 ? 'ipv6' : 'ipv4');
}
