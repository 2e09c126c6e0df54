import { OrchestraError } from '#contract/errors.ts';

/** A registry's address in its one spelling: http or https, no credentials, ends in a slash. */
export function registryBase(address: string): string {
  const url = URL.canParse(address.trim()) ? new URL(address.trim()) : undefined;
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new OrchestraError(
      'config.invalid',
      'A registry is configured that has no http address',
      {
        hint: 'npm config get registry',
      },
    );
  }
  url.username = '';
  url.password = '';
  url.search = '';
  url.hash = '';
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url.href;
}

/** Where a registry keeps the description of a package. */
export function packumentUrl(registry: string, name: string): string {
  return `${registry}${name.replace('/', '%2f')}`;
}

/** Where a registry keeps a tarball by convention; one that does not is asked for its description. */
export function tarballUrl(registry: string, name: string, version: string): string {
  const base = name.slice(name.indexOf('/') + 1);
  return `${registry}${name}/-/${base}-${encodeURIComponent(version)}.tgz`;
}

export function scopeOf(name: string): string | undefined {
  return name.startsWith('@') ? name.slice(0, name.indexOf('/')) : undefined;
}
