import { randomBytes } from 'node:crypto';
import { gateTarget, secretsTarget, type SandboxSpec } from '../policy/spec.ts';
import type { Given, OutputPiece, Secret } from './engine.ts';

/**
 * What every container starts with: the image's own shell, which says that it is there and then
 * waits for one script on its standard input. The script ends by replacing the shell with the
 * task's program, so that nothing of the gate stays. What inspection shows of a container is this
 * and nothing else: no argument, no variable, no secret of any task.
 *
 * A gate whose daemon goes away before it let a task in ends with 125, never with the 0 that would
 * read like a task's success.
 */
export const gate = {
  command: ['/bin/sh', '-c', 'echo && read -r go && exec /bin/sh -s; exit 125'],
  cwd: '/',
  // HOME, because an engine would look one up for the user and add it.
  env: { HOME: '/', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
} as const;

const graceSeconds = 30;

/** The first line in a task's own pipe, by which whoever reads learns that both are open. */
export const pipesOpenLine = 'orchestra: the gate is open\n';

// A pipe that nobody reads ends whoever writes to it, and a daemon may be killed while its task
// writes. So the line in the background keeps both open for reading: then a full pipe makes the task
// wait until somebody reads again. It reads nothing itself, and holds no end for writing, so the
// output still ends with the last process that could write. Not on the task's own 1 and 2: there are
// programs that read from those where they can.
const holdPipes = `exec 3<>${gateTarget}/out 4<>${gateTarget}/err 5<${gateTarget}/out 6<${gateTarget}/err 3>&- 4>&- || exit 126`;
// From here on nothing goes through the engine.
const openPipes = `exec >${gateTarget}/out 2>${gateTarget}/err 5<&- 6<&- && echo '${pipesOpenLine.trimEnd()}' || exit 126`;

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
    'go',
    // A script that was cut off does not end like a task that succeeded.
    "trap '[ $? -eq 126 ] || exit 125' EXIT",
    ...(isPiped ? [holdPipes] : []),
    // Twice in parentheses: a child of the first process, not one that the task would wait for.
    `( (exec >/dev/null 2>&1 </dev/null; sleep ${seconds} && kill -9 $$) & )`,
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
function afterGate(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== newline) throw new Error('the gate did not open');
  return bytes.subarray(1);
}
