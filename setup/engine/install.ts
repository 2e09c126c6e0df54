import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Progress } from '../progress.ts';
import { lastWords, runProgram } from '../run-program.ts';
import { systemPath } from './private.ts';

const installMs = 15 * 60_000;

/** True when a program of that name is on the system's path. */
export function hasProgram(name: string): boolean {
  return systemPath.split(':').some((dir) => {
    try {
      accessSync(path.join(dir, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Installs Debian packages that are missing, upgrades none, starts no service. Throws with the exact
 * commands where that is not ours to do: no root, or not Debian or Ubuntu.
 */
export async function installPackages(
  packages: readonly string[],
  purpose: string,
  progress: Progress,
): Promise<void> {
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (!isDebian()) {
    throw new OrchestraError(
      'engine.unavailable',
      `${purpose} is missing, and only Debian and Ubuntu can be helped`,
      {
        hint: `install what your system has for: ${packages.join(' ')}; or start Docker or Podman and set DOCKER_HOST`,
      },
    );
  }
  if (process.getuid?.() !== 0) {
    throw new OrchestraError(
      'engine.unavailable',
      `${purpose} is missing, and only root may install it`,
      {
        hint: `sudo apt-get update && sudo ${command}; or set DOCKER_HOST to an engine this user may use`,
      },
    );
  }
  progress(`installing ${packages.join(', ')} (${purpose})`);
  using _ = denyServiceStarts();
  const arguments_ = ['install', '-y', '--no-install-recommends', '--no-upgrade', ...packages];
  try {
    await apt(arguments_);
  } catch {
    // The usual reasons are package lists that are absent or too old; a second failure is told.
    progress('bringing the package lists up to date');
    await apt(['update']);
    progress(`installing ${packages.join(', ')}`);
    await apt(arguments_);
  }
}

/** Docker's own service would be enabled by its package; ours is the only engine that was asked for. */
export async function leaveServicesDisabled(units: readonly string[]): Promise<void> {
  if (!hasProgram('systemctl')) return;
  await run('systemctl', ['disable', ...units], 60_000).catch(() => undefined);
}

const policyFile = '/usr/sbin/policy-rc.d';

/**
 * Debian asks this file whether a package may start its service. The answer is "no" only for
 * installs that carry our variable, so a file left behind by a crash changes nothing for others.
 */
function denyServiceStarts(): Disposable {
  if (existsSync(policyFile)) return { [Symbol.dispose]: () => {} };
  writeFileSync(
    policyFile,
    '#!/bin/sh\n# Written for the time of one package install by the set-up of Orchestra.\n' +
      '[ "$ORCHESTRA_INSTALLING" = 1 ] && exit 101\nexit 0\n',
    { mode: 0o755, flag: 'wx' },
  );
  return { [Symbol.dispose]: () => rmSync(policyFile, { force: true }) };
}

function isDebian(): boolean {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(text) && hasProgram('apt-get');
  } catch {
    return false;
  }
}

/** Runs apt-get with patience for another one that holds its lock. */
export async function apt(arguments_: string[]): Promise<void> {
  try {
    await run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-q', ...arguments_], installMs);
  } catch (cause) {
    throw new OrchestraError('engine.unavailable', `apt-get ${arguments_[0] ?? ''} failed`, {
      hint: `run it by hand and read what it says: apt-get ${arguments_.join(' ')}`,
      places: lastWords(cause).map((message) => ({ message })),
      cause,
    });
  }
}

async function run(program: string, arguments_: string[], timeoutMs: number): Promise<Buffer> {
  return runProgram(program, arguments_, {
    timeoutMs,
    env: {
      ...process.env,
      PATH: systemPath,
      DEBIAN_FRONTEND: 'noninteractive',
      ORCHESTRA_INSTALLING: '1',
      LC_ALL: 'C',
    },
  });
}
