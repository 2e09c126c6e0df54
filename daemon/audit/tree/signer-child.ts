import { spawn } from 'node:child_process';
import type { Wire } from './signer-link.ts';

const endMs = 2_000;

/**
 * Starts a signer as a child that ends with its standard input, so it does not outlive the daemon.
 * In a session of its own: a Ctrl-C that stops the daemon leaves it there for the last signature.
 */
export function startSigner(options: {
  /** The file that Node runs. */
  program: string;
  stateDir: string;
  onTrouble: (line: string) => void;
}): Promise<Wire> {
  const { program, stateDir, onTrouble } = options;
  const child = spawn(process.execPath, [program, '--state', stateDir], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    // Nothing of the daemon's environment is for it, but where Node keeps what it compiled.
    env: { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] },
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => onTrouble(text.slice(0, 2_000)));
  const ended = new Promise<void>((resolve) => {
    child.once('close', resolve);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => {
      resolve({
        input: child.stdin,
        output: child.stdout,
        end: async () => {
          child.stdin.end();
          const timer = setTimeout(() => child.kill('SIGKILL'), endMs);
          await ended;
          clearTimeout(timer);
        },
      });
    });
  });
}
