import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Config from '@npmcli/config';
import npmOptions from '@npmcli/config/lib/definitions/index.js';
import { OrchestraError } from '#contract/errors.ts';
import { registryBase } from './registry.ts';

/**
 * What npm is configured with on this machine. `options` holds credentials: it is for the daemon's
 * own requests only and never reaches a sandbox, a record or a message.
 */
export type NpmConfig = {
  /** Where packages without a scope of their own come from; ends in a slash. */
  registry: string;
  /** `@scope` → registry, ends in a slash. */
  scopes: Readonly<Record<string, string>>;
  /** npm's rule for addresses in lockfiles: `never`, `always`, or the host that is replaced. */
  replaceRegistryHost: string;
  options: Readonly<Record<string, unknown>>;
};

/** The registry that npm asks when nothing is configured, in npm's own words. */
export const publicRegistry = registryBase(String(npmOptions.definitions['registry']?.default));

/**
 * Reads npm's built-in, global and user configuration and the environment as npm itself does,
 * without running npm. A project's `.npmrc` has no say: the working directory is an empty one.
 * `npmPath` is npm's own folder, `execPath` the Node that npm is installed beside; both only decide
 * where the built-in and global files lie.
 */
export async function readNpmConfig(from: {
  env: Readonly<Record<string, string | undefined>>;
  npmPath?: string;
  execPath?: string;
}): Promise<NpmConfig> {
  const empty = await mkdtemp(join(tmpdir(), 'orchestra-npm-config-'));
  try {
    const config = new Config({
      ...npmOptions,
      npmPath: from.npmPath ?? empty,
      execPath: from.execPath ?? process.execPath,
      // npm writes into the environment that it is given.
      env: { ...from.env },
      argv: [],
      cwd: empty,
      warn: false,
    });
    await config.load();
    return npmConfigFrom(config.flat);
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    throw new OrchestraError('config.invalid', 'npm’s configuration cannot be read', {
      hint: 'npm config list',
      cause,
    });
  } finally {
    await rm(empty, { recursive: true, force: true });
  }
}

/** The same from npm's flat options, such as `{ registry, '@scope:registry', '//host/:_authToken' }`. */
export function npmConfigFrom(options: Readonly<Record<string, unknown>>): NpmConfig {
  const scopes: Record<string, string> = {};
  for (const [key, value] of Object.entries(options)) {
    const scope = /^(@[^:/]+):registry$/.exec(key)?.[1];
    if (scope !== undefined && typeof value === 'string' && value !== '') {
      scopes[scope] = registryBase(value);
    }
  }
  const replace = text(options['replaceRegistryHost']) ?? 'npmjs';
  return {
    registry: registryBase(text(options['registry']) ?? publicRegistry),
    scopes,
    replaceRegistryHost: replace === 'npmjs' ? new URL(publicRegistry).hostname : hostOf(replace),
    options,
  };
}

const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined);

/** npm takes a host or an address with one. */
const hostOf = (value: string) => (URL.canParse(value) ? new URL(value).hostname || value : value);
