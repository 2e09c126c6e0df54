import { OrchestraError } from '#contract/errors.ts';

/** By which names a listener may be called, and from which pages. Compared letter by letter. */
export type OriginRules = { hosts: ReadonlySet<string>; origins: ReadonlySet<string> };

export type RequestFacts = { url: string; rawHeaders: readonly string[] };

/**
 * What a browser could be made to send here, and must not: a request under a name that somebody
 * pointed at this address (DNS rebinding), or one from a page of somebody else's. Comparing `Origin`
 * with `Host` would let the first one through, so both are compared with lists. Whoever is no
 * browser sends no `Origin`, and that is fine; it is refused where it is there and foreign, on reads
 * as well. Nothing here answers CORS.
 */
export function refusalOf(
  { url, rawHeaders }: RequestFacts,
  { hosts, origins }: OriginRules,
): OrchestraError | undefined {
  const named = valuesOf(rawHeaders, 'host');
  const [host] = named;
  // A target with a host of its own would count in place of the header.
  if (named.length !== 1 || host === undefined || !hosts.has(host) || !url.startsWith('/')) {
    return new OrchestraError('host.unknown', 'This name is not one that the daemon answers to', {
      hint: 'use the address that the operator gave out; he adds names with "hosts" of "listen"',
    });
  }
  const from = valuesOf(rawHeaders, 'origin');
  if (!from.every((origin) => origins.has(origin))) return foreign();
  const sites = valuesOf(rawHeaders, 'sec-fetch-site');
  const isSibling = (site: string) => site === 'same-site' && from.length > 0;
  const isFine = (site: string) => site === 'same-origin' || site === 'none' || isSibling(site);
  return sites.every(isFine) ? undefined : foreign();
}

function foreign(): OrchestraError {
  return new OrchestraError('origin.denied', 'A page of another origin may not call the daemon', {
    hint: 'the operator names pages that may with "origins" of "listen"',
  });
}

/** Every value of a header, also of one that must be there once only. */
function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.flatMap((value, at) =>
    at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name
      ? [name === 'host' ? value.toLowerCase() : value]
      : [],
  );
}
