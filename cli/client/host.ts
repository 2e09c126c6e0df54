import { existsSync } from 'node:fs';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { defaultPaths } from '#setup/paths.ts';
import type { Env } from '../terminal/streams.ts';

// The kernel keeps 108 bytes for a socket's address, one of them for the end.
const socketPathMax = 107;

export type Host = {
  socketPath: string;
  origin: '--host' | 'ORCHESTRA_HOST' | 'default' | '--local';
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
  if (flag !== undefined) return { socketPath: parseHost(flag, '--host'), origin: '--host' };
  const named = env['ORCHESTRA_HOST'];
  if (named !== undefined && named !== '') {
    return { socketPath: parseHost(named, 'ORCHESTRA_HOST'), origin: 'ORCHESTRA_HOST' };
  }
  const uid = process.getuid?.() ?? -1;
  const own = defaultPaths(env, uid).socket;
  const ofMachine = defaultPaths({}, 0).socket;
  const socketPath = !isThere(own) && isThere(ofMachine) ? ofMachine : own;
  return { socketPath, origin: 'default' };
}

function parseHost(text: string, source: string): string {
  const socketPath = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (!path.isAbsolute(socketPath) || socketPath.includes('\0')) {
    throw new OrchestraError('usage.invalid', `${source} is not the address of a socket: ${text}`, {
      hint: 'write unix:///path/to/orchestra.sock',
    });
  }
  if (Buffer.byteLength(socketPath) > socketPathMax) {
    throw new OrchestraError(
      'usage.invalid',
      `${source} names a socket path longer than ${socketPathMax} bytes, which no system can open`,
      { hint: 'use a shorter path' },
    );
  }
  return path.normalize(socketPath);
}
