import { BlockList, isIP } from 'node:net';
import { OrchestraError } from '#contract/errors.ts';
import { show } from './lockfile.ts';
import type { NpmConfig } from './npm-config.ts';

/**
 * Which hosts the daemon may ask for packages, and at which addresses.
 *
 * A host is named with its port where that is not the protocol's own. An address that is private,
 * loopback, link-local or otherwise not public is refused unless the host is a configured
 * registry's, or the policy names the address itself: a public name that points inward is refused.
 */
export class HostRules {
  readonly #configured: ReadonlySet<string>;
  readonly #named: ReadonlySet<string>;

  constructor(registries: readonly string[], npm: Pick<NpmConfig, 'registry' | 'scopes'>) {
    const configured = registries.includes('configured')
      ? [npm.registry, ...Object.values(npm.scopes)].map((address) => new URL(address).host)
      : [];
    this.#configured = new Set(configured);
    this.#named = new Set(registries.map((name) => name.toLowerCase()));
  }

  /** Why this address must not be asked, or nothing. */
  reasonAgainst(url: URL): string | undefined {
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'it is not http';
    if (url.username !== '' || url.password !== '') return 'it holds credentials';
    const isConfigured = this.#configured.has(url.host);
    if (!isConfigured && !this.#named.has(url.host)) return 'the policy does not name its host';
    const host = bare(url.hostname);
    if (url.protocol === 'http:' && !isConfigured && !isLoopbackName(host)) {
      return 'it is not encrypted';
    }
    // Node looks no literal up, so that the rule for addresses has to be asked here.
    if (isIP(host) !== 0 && !this.mayConnect(url.host, host)) return 'its address is not public';
    return undefined;
  }

  /** Whether a connection for `host` (with its port, if it has one) may go to this IP address. */
  mayConnect(host: string, address: string): boolean {
    if (this.#configured.has(host) || isPublic(address)) return true;
    const literal = isIP(address) === 6 ? `[${address}]` : address;
    const port = /:\d+$/.exec(host)?.[0] ?? '';
    if (this.#named.has(literal) || this.#named.has(literal + port)) return true;
    const name = bare(host.replace(/:\d+$/, ''));
    return name === 'localhost' && this.#named.has(host) && isLoopbackName(address);
  }

  assertAllowed(url: URL, what: { name: string; version: string }): void {
    const reason = this.reasonAgainst(url);
    if (reason === undefined) return;
    throw hostDenied(what, url.host, reason);
  }
}

export function hostDenied(
  what: { name: string; version: string },
  host: string,
  reason: string,
): OrchestraError {
  return new OrchestraError(
    'package.host_denied',
    `${show(`${what.name}@${what.version}`)} would come from ${show(host)}: ${reason}`,
    { hint: 'Name the host under provision.registries in the policy' },
  );
}

const bare = (hostname: string) => hostname.replace(/^\[(.*)\]$/, '$1');
const isLoopbackName = (host: string) =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** Whether an IP address belongs to the public internet; what cannot be read does not. */
export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  if (family === 4) return !special4().check(address);
  const embedded = embedded4(address);
  if (embedded !== undefined) return isPublic(embedded);
  // Only 2000::/3 is given out; in it lie documentation, tunnels and the like.
  return !special6().check(address, 'ipv6') && global6().check(address, 'ipv6');
}

/** The IPv4 address inside ::ffff:0:0/96, 64:ff9b::/96 and 2002::/16, which reaches that address. */
function embedded4(address: string): string | undefined {
  const groups = expand(address);
  if (groups === undefined) return undefined;
  const [a = 0, b = 0, c = 0] = groups;
  const last = [groups[6] ?? 0, groups[7] ?? 0];
  const head = groups.slice(0, 6);
  const isMapped = head.slice(0, 5).every((g) => g === 0) && head[5] === 0xffff;
  const isNat64 = a === 0x64 && b === 0xff9b && head.slice(2).every((g) => g === 0);
  const quad = isMapped || isNat64 ? last : a === 0x2002 ? [b, c] : undefined;
  return quad?.flatMap((g) => [g >> 8, g & 255]).join('.');
}

function expand(address: string): number[] | undefined {
  const plain = address.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (...quad) => {
    const [a = 0, b = 0, c = 0, d = 0] = quad.slice(1, 5).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const read = (part: string) => (part === '' ? [] : part.split(':').map((g) => parseInt(g, 16)));
  const [front, back] = [read(head), read(tail ?? '')];
  const gap = 8 - front.length - back.length;
  if (gap < 0 || (tail === undefined && gap !== 0)) return undefined;
  return [...front, ...Array.from({ length: gap }, () => 0), ...back];
}

const subnets = (family: 'ipv4' | 'ipv6', nets: readonly string[]) => {
  const blocks = new BlockList();
  for (const net of nets) {
    const [address = '', prefix = ''] = net.split('/');
    blocks.addSubnet(address, Number(prefix), family);
  }
  return blocks;
};

const special4 = () =>
  subnets('ipv4', [
    '0.0.0.0/8',
    '10.0.0.0/8',
    '100.64.0.0/10',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '172.16.0.0/12',
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.31.196.0/24',
    '192.52.193.0/24',
    '192.88.99.0/24',
    '192.168.0.0/16',
    '192.175.48.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
  ]);
const global6 = () => subnets('ipv6', ['2000::/3']);
const special6 = () => subnets('ipv6', ['2001::/23', '2001:db8::/32', '3fff::/20']);
