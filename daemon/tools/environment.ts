import npmOptions from '@npmcli/config/lib/definitions/index.js';

/**
 * What the daemon itself puts into a sandbox's environment. A plan can set none of these names:
 * policy accepts them only with exactly these values.
 *
 * npm is told to stay offline for scripts that call it themselves: without a network it would
 * otherwise retry for minutes before it says so.
 */
export const baseEnvironment: Readonly<Record<string, string>> = Object.freeze({
  HOME: '/home/node',
  LANG: 'C.UTF-8',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  TMPDIR: '/tmp',
  npm_config_audit: 'false',
  npm_config_cache: '/opt/npm-cache',
  npm_config_fund: 'false',
  npm_config_offline: 'true',
  // The offline cache is filed under npm's own default, whatever a project's .npmrc says.
  npm_config_registry: String(npmOptions.definitions['registry']?.default),
  npm_config_update_notifier: 'false',
});

/** What the daemon sets unless a plan says otherwise: tools that ask questions stop asking. */
export const defaultEnvironment: Readonly<Record<string, string>> = Object.freeze({ CI: 'true' });

/** What single tools add: each keeps its tool from looking for a network that is not there. */
export const toolEnvironment: Readonly<Record<string, Readonly<Record<string, string>>>> =
  Object.freeze({
    cargo: { CARGO_NET_OFFLINE: 'true' },
    go: { GOPROXY: 'off', GOTOOLCHAIN: 'local' },
  });

/** The one value that a name of the daemon's own may have, undefined for all other names. */
export function fixedValue(name: string): string | undefined {
  if (Object.hasOwn(baseEnvironment, name)) return baseEnvironment[name];
  for (const added of Object.values(toolEnvironment)) {
    if (Object.hasOwn(added, name)) return added[name];
  }
  return undefined;
}

// Names that change which code runs before the command itself does, or where it takes code from.
const reserved = [
  /^PATH$/,
  /^HOME$/,
  /^TMPDIR$/,
  /^SHELL$/,
  /^IFS$/,
  /^ENV$/,
  /^BASH_ENV$/,
  /^LD_/,
  /^NODE_OPTIONS$/,
  /^NODE_PATH$/,
  /^NODE_EXTRA_CA_CERTS$/,
  /^GIT_/,
  /^npm_/i,
  /^CARGO_NET_OFFLINE$/,
  /^GOPROXY$/,
  /^GOFLAGS$/,
  /^GOTOOLCHAIN$/,
  /^DOCKER_/,
  /^ORCHESTRA_/,
  /^__proto__$/,
];

/** True for names that no plan may set, whatever the policy says. */
export function isReserved(name: string): boolean {
  return reserved.some((pattern) => pattern.test(name));
}
