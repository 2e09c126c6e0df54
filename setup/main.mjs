// The door of a checkout: `npm run demo`, `npm test`, `npm run setup` and the others all come here.
// Plain JavaScript for Node 20 and later, with nothing installed; it brings the rest along.
import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from './check.mjs';
import { SetupError, ensureToolchain } from './toolchain.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = (name) => path.join(root, 'node_modules', name);

const commands = {
  setup: async (tools) => start(tools, ['setup/prepare.ts']),
  demo: async (tools, rest) => start(tools, ['setup/demo.ts', ...rest]),
  test: async (tools, rest) => {
    const prepared = onlyUnit(rest) ? 0 : await start(tools, ['setup/prepare.ts', '--quiet']);
    return prepared === 0 ? start(tools, [bin('vitest/vitest.mjs'), 'run', ...rest]) : prepared;
  },
  check: async (tools, rest) =>
    check(tools, { root, progress, start, sourcesOnly: rest.includes('--sources') }),
  exec: async (tools, [file, ...rest]) => {
    if (file === undefined) throw new SetupError('exec needs a file', usage);
    // npm runs scripts in the checkout; the user means paths from where npm was called.
    return start(tools, [path.resolve(root, file), ...rest], process.env.INIT_CWD ?? process.cwd());
  },
};

const usage =
  'node setup/main.mjs setup | demo | test [ARGS] | check [--sources] | exec FILE [ARGS]';

const [name, ...rest] = process.argv.slice(2);
try {
  if (!Object.hasOwn(commands, name ?? '')) throw new SetupError(`no such command: ${name}`, usage);
  const tools = await ensureToolchain(root, progress);
  process.exitCode = await commands[name](tools, rest);
} catch (error) {
  const { message, hint } = error;
  process.stderr.write(`✗ ${error instanceof SetupError ? message : error.stack}\n`);
  if (hint !== undefined) process.stderr.write(`Next  ${hint}\n`);
  process.exitCode = 1;
}

function progress(message) {
  process.stderr.write(`· ${message}\n`);
}

function onlyUnit(rest) {
  const projects = rest.flatMap((each, index) =>
    each === '--project' ? [rest[index + 1]] : (/^--project=(.*)$/.exec(each)?.slice(1) ?? []),
  );
  return projects.length > 0 && projects.every((project) => project === 'unit');
}

/** Runs our Node on a file with everything inherited, hands signals on, and answers its exit code. */
async function start({ node, env }, arguments_, cwd = root) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, arguments_, { cwd, env, stdio: 'inherit' });
    // A Ctrl-C reaches the whole foreground group by itself; handing it on again would count twice.
    const forwarded = ['SIGTERM', 'SIGHUP', 'SIGUSR2'];
    const hand = (signal) => child.kill(signal);
    const stay = () => {};
    for (const signal of forwarded) process.on(signal, hand);
    process.on('SIGINT', stay);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      for (const each of forwarded) process.off(each, hand);
      process.off('SIGINT', stay);
      resolve(code ?? 128 + (os.constants.signals[signal] ?? 0));
    });
  });
}
