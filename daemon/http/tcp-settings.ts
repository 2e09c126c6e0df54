import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import {
  isWildcard,
  parseTcpAddress,
  resolveTcp,
  spellTcpAddress,
  type TcpAddress,
} from './tcp-address.ts';

const file = z
  .string()
  .regex(/^\/[^\0]*$/, 'must be an absolute path')
  .max(4096);
const address = z
  .string()
  .refine(
    (text) => parseTcpAddress(text) !== undefined,
    'not an address with a port, write 127.0.0.1:7457, [::1]:7457 or name:7457',
  );
/** As the `Host` header will have it: with the port, unless it is the usual one of the scheme. */
const hostName = z
  .string()
  .regex(
    /^(?:\[[0-9a-f:.]+\]|[a-z0-9.-]{1,253})(?::\d{1,5})?$/,
    'must be a name as callers write it, in lower case, such as ci.example.com:7457',
  );
const originName = z
  .string()
  .regex(
    /^https?:\/\/(?:\[[0-9a-f:.]+\]|[a-z0-9.-]{1,253})(?::\d{1,5})?$/,
    'must be an origin, such as https://ci.example.com:7457, without a path',
  );

/** Where else the API listens, beside its socket: nowhere, unless it is said. */
export const ListenList = z
  .array(
    z.strictObject({
      address,
      tls: z.strictObject({ cert: file, key: file, client_ca: file.optional() }).optional(),
      hosts: z.array(hostName).min(1).max(64).optional(),
      origins: z.array(originName).max(64).optional(),
    }),
  )
  .max(8);
export type ListenSettings = z.infer<typeof ListenList>[number];

/** One listener as it will be: where it binds, whom it answers, and with which certificate. */
export type TcpPlan = {
  ip: string;
  port: number;
  /** Names that belong to the address itself are added once the port is known. */
  hosts: readonly string[] | undefined;
  origins: readonly string[] | undefined;
  address: TcpAddress;
  isLocal: boolean;
  tls: NonNullable<ListenSettings['tls']> | undefined;
};

/** Throws `config.invalid` for what would leave this machine unencrypted, or under no name. */
export async function planTcp(
  settings: ListenSettings,
  resolve?: Parameters<typeof resolveTcp>[1],
): Promise<TcpPlan> {
  const parsed = parseTcpAddress(settings.address);
  if (parsed === undefined) throw new Error('the settings were not checked');
  const { ip, port, isLocal } = await resolveTcp(parsed, resolve);
  if (!isLocal && settings.tls === undefined) {
    throw new OrchestraError(
      'config.invalid',
      `${settings.address} can be reached from other machines, and has no TLS`,
      { hint: 'add tls: {cert: FILE, key: FILE}, or listen on 127.0.0.1' },
    );
  }
  if (isWildcard(ip) && settings.hosts === undefined) {
    throw new OrchestraError(
      'config.invalid',
      `${settings.address} is every address of this machine; by which names may it be called?`,
      { hint: `add hosts: [NAME:${port}]` },
    );
  }
  const plan: TcpPlan = {
    ip,
    port,
    isLocal,
    address: parsed,
    hosts: settings.hosts,
    origins: settings.origins,
    tls: settings.tls,
  };
  if (plan.tls !== undefined) await readTls(plan.tls);
  return plan;
}

/** Reads certificate and key; refuses a key that everybody may read, and two that do not fit. */
export async function readTls({
  cert,
  key,
  client_ca: clientCa,
}: NonNullable<ListenSettings['tls']>): Promise<SecureContextOptions> {
  const mode = await stat(key).then(
    (facts) => facts.mode,
    (cause: unknown) => unreadable(key, cause),
  );
  if ((mode & 0o007) !== 0) {
    throw new OrchestraError('config.invalid', `Everybody may read the key ${key}`, {
      hint: `chmod 600 ${key}, and take a new certificate if others are on this machine`,
    });
  }
  const read = (path: string) => readFile(path).catch((cause: unknown) => unreadable(path, cause));
  const options: SecureContextOptions = {
    cert: await read(cert),
    key: await read(key),
    ...(clientCa === undefined ? {} : { ca: await read(clientCa) }),
    minVersion: 'TLSv1.2',
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    throw new OrchestraError(
      'config.invalid',
      `${cert} and ${key} are no certificate and the key that belongs to it`,
      { hint: 'both in PEM; openssl x509 -in CERT -noout -pubkey shows the one', cause },
    );
  }
  return options;
}

/** Which names and origins a listener answers to, once it is bound. */
export function namesOf(
  { address, ip, isLocal, hosts, origins, tls }: TcpPlan,
  port: number,
): { hosts: ReadonlySet<string>; origins: ReadonlySet<string> } {
  const scheme = tls === undefined ? 'http' : 'https';
  const said = spellTcpAddress({ host: address.host.toLowerCase(), port });
  const bound = isWildcard(ip) ? said : spellTcpAddress({ host: ip, port });
  const called = [...new Set([said, bound])];
  // No name server is asked about this one, so nobody can point it elsewhere.
  if (isLocal) called.push(`localhost:${port}`);
  // Callers leave the port out where it is the usual one.
  const isUsual = port === (tls === undefined ? 80 : 443);
  const own = called.flatMap((name) =>
    isUsual ? [name, name.slice(0, name.lastIndexOf(':'))] : [name],
  );
  const answered = hosts ?? own;
  return {
    hosts: new Set(answered),
    origins: new Set(origins ?? answered.map((name) => `${scheme}://${name}`)),
  };
}

function unreadable(path: string, cause: unknown): never {
  throw new OrchestraError('config.invalid', `${path} of "listen" cannot be read`, {
    hint: "check the path, and that the daemon's user may read it",
    cause,
  });
}
