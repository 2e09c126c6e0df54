import type { Tool } from './tool.ts';

const installs = ['ci', 'clean-install', 'ic', 'install-clean', 'install', 'i', 'in', 'add'];
const installsAndTests = ['cit', 'install-ci-test', 'it', 'install-test'];
const local = [
  'run',
  'run-script',
  'test',
  't',
  'tst',
  'start',
  'stop',
  'restart',
  'exec',
  'x',
  'ls',
  'list',
  'll',
  'la',
  'explain',
  'why',
  'query',
  'sbom',
  'root',
  'prefix',
  'bin',
  'pack',
  'pkg',
  'prune',
  'rebuild',
  'rb',
  'help',
  'version',
  '--version',
  '-v',
  'get',
];
const remote = [
  'publish',
  'unpublish',
  'login',
  'logout',
  'adduser',
  'add-user',
  'token',
  'access',
  'owner',
  'dist-tag',
  'deprecate',
  'profile',
  'hook',
  'org',
  'team',
  'star',
  'unstar',
  'whoami',
  'audit',
  'outdated',
  'view',
  'info',
  'show',
  'search',
  'ping',
  'doctor',
  'update',
  'up',
];
// Each of these would point npm at code, settings or places other than the workspace's.
const deniedOptions = [
  'registry',
  'prefix',
  'global',
  'location',
  'cache',
  'userconfig',
  'globalconfig',
  'proxy',
  'https-proxy',
  'noproxy',
  'script-shell',
  'node-options',
  'no-offline',
  'prefer-online',
  'no-cache',
];

/**
 * npm, command first, options after it. What it installs is what the lockfile pins, provisioned
 * beforehand, so an install is `--offline` and cannot name packages.
 */
export const npm: Tool = {
  program: 'npm',
  judge(args) {
    const [command] = args;
    if (command === undefined) return ['npm needs a command, such as run build'];
    return [...judgeCommand(command, args.slice(1)), ...judgeOptions(args)];
  },
  command(args) {
    const [command = '', ...rest] = args;
    if (!needsPackages(command)) return ['npm', ...args];
    return ['npm', command, '--offline', '--no-audit', '--no-fund', ...rest];
  },
  provisions: ([command = '']) => (needsPackages(command) ? ['npm'] : []),
};

/** npx runs what is installed in the workspace; it never fetches. */
export const npx: Tool = {
  program: 'npx',
  judge(args) {
    if (args.length === 0) return ['npx needs the name of a program'];
    // Only what stands before the program's name is npx's own.
    const own = args.slice(0, firstWord(args));
    const fetches = own.some((arg) => /^(?:-p|--package)(?:=|$)/.test(arg));
    return [
      ...judgeOptions(own).map((reason) => reason.replace(/^npm/, 'npx')),
      ...(fetches ? ['npx --package fetches from a registry, and a task has no network'] : []),
    ];
  },
  command: (args) => ['npx', '--no', '--offline', ...args],
  provisions: () => [],
};

function needsPackages(command: string): boolean {
  return installs.includes(command) || installsAndTests.includes(command);
}

function judgeCommand(command: string, rest: readonly string[]): string[] {
  if (needsPackages(command)) {
    const named = rest.find((arg) => !arg.startsWith('-'));
    if (named === undefined) return [];
    return [`npm ${command} cannot name packages (${named}): only what the lockfile pins is there`];
  }
  if (local.includes(command)) return [];
  if (remote.includes(command)) {
    return [`npm ${command} needs a registry, and a task has no network`];
  }
  if (command === 'config' || command === 'c' || command === 'set') {
    return [`npm ${command} changes settings that are the sandbox's own`];
  }
  if (command.startsWith('-')) return [`npm's command comes first, before ${command}`];
  return [`npm ${command} is not a command that a task can run`];
}

function judgeOptions(args: readonly string[]): string[] {
  const end = args.indexOf('--');
  const own = end === -1 ? args : args.slice(0, end);
  return own.flatMap((arg) => {
    if (arg === '-g' || arg === '-C') return [`npm ${arg} points outside the workspace's project`];
    const name = /^--([^=]+)/.exec(arg)?.[1]?.toLowerCase();
    if (name === undefined) return [];
    if (/^@.*:registry$|^\/\//.test(name)) return [`npm ${arg} chooses a registry`];
    if (name === 'offline' && arg.includes('=')) return [`npm ${arg} decides about the network`];
    // npm takes any unmistakable beginning of an option for the option.
    const denied = deniedOptions.find((o) => o === name || (name.length > 2 && o.startsWith(name)));
    return denied === undefined ? [] : [`npm --${denied} is not for a task`];
  });
}

function firstWord(args: readonly string[]): number {
  const found = args.findIndex((arg) => !arg.startsWith('-'));
  return found === -1 ? args.length : found;
}
