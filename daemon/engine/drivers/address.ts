import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';

/** Where the engine listens, in the words of node:http. */
export type EngineAddress = { socketPath: string } | { host: string; port: number };

/** Reads `unix:///path` or `tcp://host:port`. */
export function parseAddress(host: string): EngineAddress {
  if (host.startsWith('unix://')) {
    const socketPath = host.slice('unix://'.length);
    if (path.isAbsolute(socketPath) && !socketPath.includes('\0')) return { socketPath };
  }
  const url = URL.parse(host);
  if (url !== null && ['tcp:', 'http:'].includes(url.protocol) && url.hostname !== '') {
    return {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? 2375 : Number(url.port),
    };
  }
  throw new OrchestraError('config.invalid', 'The address of the engine cannot be read', {
    hint: 'write unix:///path or tcp://host:port',
  });
}
