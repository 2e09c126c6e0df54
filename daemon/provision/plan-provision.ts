import { hash } from 'node:crypto';
import type Arborist from '@npmcli/arborist';
import npa from 'npm-package-arg';
import { checkPlatform } from 'npm-install-checks';
import { OrchestraError } from '#contract/errors.ts';
import { digestOf } from '../base/canonical.ts';
import { HostRules, hostDenied } from './host-rules.ts';
import { strongestHash } from './integrity.ts';
import { loadLockTree } from './lock-tree.ts';
import { list, parseLockfile, parseManifest, show, staysInside } from './lockfile.ts';
import type { NpmConfig } from './npm-config.ts';
import type { PackageList, PinnedPackage, Platform, ProvisionPolicy } from './package-list.ts';
import { readProjectRegistries } from './project-registries.ts';
import { scopeOf, tarballUrl } from './registry.ts';

/** Changes whenever a cache that was built from the same list would look different. */
const cacheFormat = 1;

export type PlanProvisionOptions = {
  platform: Platform;
  policy: ProvisionPolicy;
  npmConfig: NpmConfig;
  /** The text of the project's own `.npmrc`, of which only registries are read. */
  npmrc?: string;
  /** Where the lockfile lies in the workspace; its root unless told otherwise. */
  folder?: string;
};

/**
 * What `npm ci` inside the image will need, judged before anything is asked of the network. Pure
 * but for a temporary folder. Refuses with `lockfile.invalid`, `package.unsupported`,
 * `package.integrity` or `package.host_denied`; the first three name every package concerned.
 */
export async function planProvision(
  lockfileText: string | Uint8Array,
  packageJson: string | Uint8Array,
  { platform, policy, npmConfig, npmrc = '', folder = '.' }: PlanProvisionOptions,
): Promise<PackageList> {
  if (!staysInside(folder)) throw new TypeError('the folder of a lockfile is in the workspace');
  const lockfile = parseLockfile(lockfileText, folder);
  const manifest = parseManifest(packageJson);
  const projectRegistries = readProjectRegistries(npmrc);
  const tree = await loadLockTree(lockfile, manifest, folder);

  const nodes = [...tree.inventory.values()].filter((node) => !node.isRoot);
  const wanted = nodes.filter((node) => isFetched(node, folder) && isForPlatform(node, platform));
  refuseUnsupported(wanted, platform);

  const registryFor = (name: string) => {
    const scope = scopeOf(name);
    const scoped = scope && (projectRegistries[`${scope}:registry`] ?? npmConfig.scopes[scope]);
    return scoped ?? projectRegistries['registry'] ?? npmConfig.registry;
  };
  const pinned = wanted.map((node) => pin(node, registryFor, npmConfig));
  const packages = withoutRepeats(pinned);
  if (packages.length > policy.packages) {
    throw new OrchestraError(
      'package.unsupported',
      `The lockfile pins ${packages.length} packages; the policy allows ${policy.packages}`,
      { hint: 'Raise provision.packages in the policy' },
    );
  }
  const rules = new HostRules(policy.registries, npmConfig);
  for (const found of packages) rules.assertAllowed(new URL(found.url), found);

  const lockfileDigest = `sha256:${hash('sha256', lockfileText, 'hex')}` as const;
  return {
    kind: 'npm',
    lockfile: lockfileDigest,
    platform,
    key: digestOf({ cacheFormat, platform, projectRegistries, packages: packages.map(identity) }),
    packages,
    skipped: nodes.length - wanted.length,
    projectRegistries,
    hosts: [...new Set(packages.map(({ url }) => new URL(url).host))].toSorted(),
  };
}

/** Links, workspaces, bundled packages and tarballs of the workspace itself are there already. */
function isFetched(node: Arborist.Node, folder: string): boolean {
  if (node.isLink || !/(^|\/)node_modules\//.test(node.location)) return false;
  if (node.inBundle) return false;
  if (!node.resolved?.startsWith('file:')) return true;
  const path = foreignSpecs(node)
    .find((spec) => spec.startsWith('file:'))
    ?.slice('file:'.length);
  return !staysInside(path, folder);
}

/** What npm inside the image decides, by the same code: an optional package may be for elsewhere. */
function isForPlatform(node: Arborist.Node, platform: Platform): boolean {
  return !node.optional || runsOn(node, platform);
}

function runsOn(node: Arborist.Node, platform: Platform): boolean {
  try {
    checkPlatform(node.package, false, platform);
    return true;
  } catch {
    return false;
  }
}

function refuseUnsupported(nodes: readonly Arborist.Node[], platform: Platform): void {
  const foreign = nodes.flatMap((node) => {
    const spec = foreignSpecs(node)[0] ?? foreignAddress(node);
    return spec === undefined ? [] : [`${node.name} (${spec})`];
  });
  if (foreign.length > 0) {
    throw new OrchestraError(
      'package.unsupported',
      `Only packages from a registry can be provisioned, not ${list(foreign)}`,
      { hint: 'Depend on a published version, or put the package into the workspace' },
    );
  }
  const elsewhere = nodes.filter((node) => !runsOn(node, platform)).map(id);
  if (elsewhere.length > 0) {
    throw new OrchestraError(
      'package.unsupported',
      `Not for ${platform.os}, ${platform.cpu}, ${platform.libc}: ${list(elsewhere)}`,
      { hint: 'Move them to optionalDependencies, or choose another image' },
    );
  }
  const nameless = nodes.filter((node) => !isPublishedName(node)).map(id);
  if (nameless.length > 0) {
    throw new OrchestraError(
      'lockfile.invalid',
      `package-lock.json has entries without a valid name and exact version: ${list(nameless)}`,
      { hint: 'rm package-lock.json && npm install --package-lock-only' },
    );
  }
  const loose = nodes.filter((node) => strongestHash(node.integrity ?? '') === undefined).map(id);
  if (loose.length > 0) {
    throw new OrchestraError(
      'package.integrity',
      `package-lock.json has no usable integrity hash for ${list(loose)}`,
      { hint: 'rm -r package-lock.json node_modules && npm install --package-lock-only' },
    );
  }
}

/** What dependents ask for that no registry answers: addresses, repositories, files. */
function foreignSpecs(node: Arborist.Node): string[] {
  const specs = [...node.edgesIn].map(({ name, spec }) => ({ name, spec }));
  return specs.filter(({ name, spec }) => !isRegistrySpec(name, spec)).map(({ spec }) => spec);
}

function isRegistrySpec(name: string, spec: string): boolean {
  try {
    return npa.resolve(name, spec).registry ?? false;
  } catch {
    return false;
  }
}

function isPublishedName(node: Arborist.Node): boolean {
  try {
    return npa.resolve(node.packageName, node.version).type === 'version';
  } catch {
    return false;
  }
}

function foreignAddress(node: Arborist.Node): string | undefined {
  const { resolved } = node;
  return resolved === null || /^https?:/.test(resolved)
    ? undefined
    : resolved.replace(/^file:.*\//, 'file:…/');
}

function pin(
  node: Arborist.Node,
  registryFor: (name: string) => string,
  npm: NpmConfig,
): PinnedPackage {
  const { packageName: name, version } = node;
  const integrity = strongestHash(node.integrity ?? '') ?? '';
  const registry = registryFor(name);
  const resolved = node.resolved ?? undefined;
  const url =
    resolved === undefined
      ? tarballUrl(registry, name, version)
      : replaceHost(parseAddress(resolved, { name, version }), registry, npm);
  return { name, version, integrity, resolved, registry, url };
}

/** As npm does: an address at the public registry means the registry that is configured. */
function replaceHost(url: URL, registry: string, npm: NpmConfig): string {
  const isReplaced =
    npm.replaceRegistryHost === 'always' || npm.replaceRegistryHost === url.hostname;
  if (!isReplaced || npm.replaceRegistryHost === 'never') return url.href;
  const base = new URL(registry);
  const path = url.pathname.startsWith(base.pathname)
    ? url.pathname
    : base.pathname + url.pathname.slice(1);
  return new URL(path, base).href;
}

function parseAddress(address: string, what: { name: string; version: string }): URL {
  if (!URL.canParse(address)) throw hostDenied(what, address, 'it is not an address');
  const url = new URL(address);
  url.hash = '';
  return url;
}

function withoutRepeats(packages: readonly PinnedPackage[]): PinnedPackage[] {
  const byIdentity = new Map(packages.map((found) => [JSON.stringify(identity(found)), found]));
  return [...byIdentity.entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, found]) => found);
}

/** What of a package decides about the cache; where the daemon fetched it from does not. */
function identity({ name, version, integrity, resolved, registry }: PinnedPackage) {
  return { name, version, integrity, resolved: resolved ?? '', registry };
}

const id = (node: Arborist.Node) => `${node.packageName ?? show(node.name)}@${node.version}`;
