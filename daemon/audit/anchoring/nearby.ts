import { lookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { BlockList, isIPv6 } from 'node:net';

/** Whether an address is this machine or in a private network: there http without TLS may go. */
export function isNearby(address: string): boolean {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8);
  list.addSubnet('10.0.0.0', 8);
  list.addSubnet('172.16.0.0', 12);
  list.addSubnet('192.168.0.0', 16);
  list.addAddress('::1', 'ipv6');
  list.addSubnet('fc00::', 7, 'ipv6');
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

type Found = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/** As `dns.lookup`, for a connection without TLS: a name of the open net is not found. */
export function lookupNearby(host: string, options: LookupOptions, found: Found): void {
  lookup(host, { ...options, all: true }, (error, all) => {
    if (error) return found(error, []);
    const near = all.filter(({ address }) => isNearby(address));
    const [first] = near;
    if (first === undefined) {
      return found(new Error(`${host} is on the open net, which needs https`), []);
    }
    return options.all === true ? found(null, near) : found(null, first.address, first.family);
  });
}
