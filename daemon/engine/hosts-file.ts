import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Writes the file that every sandbox sees as /etc/hosts and returns its path. Without a network the
 * engine leaves that file empty, even where the image ships one, and `localhost` would not resolve.
 */
export function writeHostsFile(dir: string): string {
  const file = path.join(dir, 'hosts');
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  writeFileSync(file, '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n');
  // The umask must not decide whether the sandbox's user can read it.
  chmodSync(file, 0o644);
  return file;
}
