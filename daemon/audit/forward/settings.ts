import { isIP } from 'node:net';
import { z } from 'zod';
import { EnterpriseNumber, ExportFilter, exportFormats } from '#contract/audit-export.ts';
import { OrchestraError } from '#contract/errors.ts';
import { Duration } from '#contract/units.ts';

const AbsolutePath = z
  .string()
  .regex(/^\/[^\0]*$/, 'must be an absolute path')
  .max(4096);

/** Where records go on their own. Only the configuration says so; no call can. */
export const ForwardSettings = z
  .strictObject({
    name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be lower-case letters, digits and "-"'),
    /** file:///path, unix:///path, tcp+tls://host:port, https://…; tcp:// and http:// of this machine. */
    to: z.string().min(1).max(1024).superRefine(checkAddress),
    format: z.enum(exportFormats).exclude(['csv']).optional(),
    filter: ExportFilter.omit({ since: true, until: true }).optional(),
    /** Where one that never ran begins. */
    from: z.enum(['start', 'end']).optional(),
    /** The only authorities that are believed, instead of the system's. */
    ca: AbsolutePath.optional(),
    /** What is shown to a receiver that asks who is sending. */
    cert: AbsolutePath.optional(),
    key: AbsolutePath.optional(),
    /** Holds the secret that each request to a webhook is signed with. */
    secret_file: AbsolutePath.optional(),
    /** Holds what a webhook wants in `authorization: Bearer`. */
    token_file: AbsolutePath.optional(),
    /** Records that are handed over at once. */
    batch: z.number().int().min(1).max(10_000).optional(),
    /** How long one handing over may take. */
    timeout: Duration.optional(),
    enterprise: EnterpriseNumber.optional(),
  })
  .superRefine((settings, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    const scheme = settings.to.split(':')[0] ?? '';
    if ((settings.cert === undefined) !== (settings.key === undefined)) {
      wrong('cert', 'cert and key belong together');
    }
    for (const key of ['ca', 'cert'] as const) {
      if (settings[key] !== undefined && scheme !== 'tcp+tls' && scheme !== 'https') {
        wrong(key, 'is for tcp+tls:// and https:// only');
      }
    }
    for (const key of ['secret_file', 'token_file'] as const) {
      if (settings[key] !== undefined && scheme !== 'https' && scheme !== 'http') {
        wrong(key, 'is for a webhook only');
      }
    }
  });
export type ForwardSettings = z.infer<typeof ForwardSettings>;

export const ForwardList = z
  .array(ForwardSettings)
  .max(16)
  .refine(
    (all) => new Set(all.map(({ name }) => name)).size === all.length,
    'a name is there twice',
  );

export type Address =
  | { kind: 'file'; path: string }
  | { kind: 'unix'; path: string }
  | { kind: 'tcp'; host: string; port: number; tls: boolean }
  | { kind: 'webhook'; url: URL };

/** What an address means; throws `config.invalid` with the reason where it may not be used. */
export function parseAddress(text: string): Address {
  const [, scheme = '', rest = ''] = /^([a-z+]+):\/\/(.*)$/s.exec(text) ?? [];
  if (/[\p{Cc}\s]/u.test(text)) throw refused('holds blanks or control characters');
  if (scheme === 'file' || scheme === 'unix') {
    if (!rest.startsWith('/')) throw refused(`write ${scheme}:///path`);
    if (rest.split('/').includes('..') || rest.endsWith('/')) throw refused('must name a file');
    return { kind: scheme, path: rest };
  }
  if (scheme === 'tcp' || scheme === 'tcp+tls') {
    // A URL of its own kind, so that IPv6 in brackets is read as everywhere.
    const url = URL.parse(`https://${rest}`);
    const said = /:(\d{1,5})$/.exec(rest)?.[1];
    const port = Number(said);
    if (url === null || url.username !== '' || url.pathname !== '/' || url.search !== '') {
      throw refused(`write ${scheme}://host:port`);
    }
    if (!(port >= 1 && port <= 65_535)) throw refused('has no port');
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    if (scheme === 'tcp' && !isLoopback(host)) throw refused('leaves this machine without TLS');
    return { kind: 'tcp', host, port, tls: scheme === 'tcp+tls' };
  }
  if (scheme === 'https' || scheme === 'http') {
    const url = URL.parse(text);
    if (url === null) throw refused('is no URL');
    if (url.username !== '' || url.password !== '') {
      throw refused('holds a password; use token_file');
    }
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    if (scheme === 'http' && !isLoopback(host)) throw refused('leaves this machine without TLS');
    return { kind: 'webhook', url };
  }
  throw refused('write file://, unix://, tcp+tls:// or https://');
}

/** As it may be shown: what follows a `?` may be a password. */
export function spellAddress(to: string): string {
  return to.replace(/[?#].*$/s, '?…');
}

function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

function refused(why: string): OrchestraError {
  return new OrchestraError('config.invalid', why);
}

function checkAddress(text: string, context: z.RefinementCtx): void {
  try {
    parseAddress(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
}
