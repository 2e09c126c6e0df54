import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';

/**
 * Makes `dir` a shared mount of its own, so that what is mounted beneath it later is seen by an
 * engine in a mount namespace of its own, and by its containers. Must come before the engine
 * starts. Where it fails (no privilege) sandboxes start cold instead, which `doctor` says.
 */
export function shareDirectory(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  if (isMounted(dir)) return;
  try {
    run('mount', ['--bind', '-o', 'nosuid,nodev,noexec', dir, dir]);
    run('mount', ['--make-shared', dir]);
  } catch {
    // Without privilege there is nothing to share.
  }
}

/** Takes the mount away, with everything beneath it. The directory stays. */
export function unshareDirectory(dir: string): void {
  while (isMounted(dir)) {
    try {
      run('umount', ['--recursive', '--lazy', dir]);
    } catch {
      return;
    }
  }
}

function isMounted(dir: string): boolean {
  // Field five is the place; a space in it would be written as \040.
  const place = dir.replaceAll(' ', '\\040');
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === place);
}

function run(program: string, args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 10_000 });
}
