import { randomBytes } from 'node:crypto';
import { gateTarget, secretsTarget, type SandboxSpec } from '../policy/spec.ts';
import type { Given, OutputPiece, Secret } from './engine.ts';

/**
 * What every container starts with: the image's own shell, which says that it is there and then
 * waits for one script on its standard input. The script ends by replacing the shell with the
 * task's program, so that nothing of the gate stays. What inspection shows of a container is this
 * and nothing else: no argument, no variable, no secret of any task.
 */
export const gate = {
  command: ['/bin/sh', '-c', 'echo && exec /bin/sh -s'],
  cwd: '/',
  // HOME, because an engine would look one up for the user and add it.
  env: { HOME: '/', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
} as const;

const graceSeconds = 30;

// From here on nothing goes through the engine. Whoever reads learns by the first byte that both are
// open. Where nobody reads any more this waits until the sandbox's own deadline, and no longer.
const openPipes = `exec >${gateTarget}/out 2>${gateTarget}/err && echo || exit 126`;

/** How long a sandbox lives at most when no daemon is left to end it: longer than its task may. */
export function ownDeadlineSeconds({
  timeoutMs,
}: Pick<SandboxSpec['limits'], 'timeoutMs'>): number {
  return Math.ceil(timeoutMs / 1000) + graceSeconds;
}

/**
 * The script that lets a task go. All of it is data of the task inside the task's own sandbox;
 * quoted all the same, so that every argument arrives byte for byte.
 *
 * `env` starts the program with exactly these variables, found by the PATH among them. The line in
 * the background is the sandbox's own deadline, for when no daemon is left to end it; a task can
 * end that line, so it is not what policy relies on.
 */
export function releaseScript(
  { command, cwd, env, limits }: Pick<SandboxSpec, 'command' | 'cwd' | 'env' | 'limits'>,
  { secrets = [], isPiped = false }: Pick<Given, 'secrets' | 'isPiped'> = {},
): Buffer {
  const seconds = ownDeadlineSeconds(limits);
  const variables = Object.entries(env).map(([name, value]) => quoted(`${name}=${value}`));
  const program = [...variables, ...command.map(quoted)].join(' ');
  const lines = [
    // Twice in parentheses: a child of the first process, not one that the task would wait for.
    `( (exec >/dev/null 2>&1 </dev/null; sleep ${seconds}; kill -9 $$) & )`,
    ...(isPiped ? [openPipes] : []),
    ...secrets.map(secretLines),
    `cd ${quoted(cwd)} || exit 126`,
    `exec env -i -- ${program} </dev/null`,
    '',
  ];
  return Buffer.from(lines.join('\n'));
}

/** Single quotes keep everything but a single quote (POSIX XCU 2.2.2). */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function secretLines({ name, value }: Secret): string {
  const file = quoted(`${secretsTarget}/${name}`);
  const end = randomBytes(16).toString('hex');
  const text = Buffer.from(value).toString('base64');
  return `(umask 077; base64 -d >${file} && chmod 0400 ${file}) <<'${end}' || exit 126\n${text}\n${end}`;
}

const newline = 10;

/**
 * Takes the gate's one byte off the front of a container's output. `ready` resolves once it came;
 * it rejects where the container ended before, or said anything else.
 */
export function throughGate(source: AsyncGenerator<OutputPiece, void, undefined>): {
  ready: Promise<void>;
  output: AsyncGenerator<OutputPiece, void, undefined>;
} {
  const first = takeFirst(source);
  const ready = first.then(() => {});
  // Whoever waits for it learns of it; nobody may.
  ready.catch(() => {});
  return {
    ready,
    output: (async function* () {
      const rest = await first;
      if (rest.bytes.length > 0) yield rest;
      yield* source;
    })(),
  };
}

async function takeFirst(
  source: AsyncGenerator<OutputPiece, void, undefined>,
): Promise<OutputPiece> {
  const { value } = await source.next();
  if (value?.s !== 1) throw new Error('the gate did not open');
  return { s: 1, bytes: afterGate(value.bytes) };
}

/** What follows the one byte that a gate says. */
export function afterGate(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== newline) throw new Error('the gate did not open');
  return bytes.subarray(1);
}
