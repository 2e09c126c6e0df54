import { json } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import { deadlineSignal } from '../base/deadline.ts';
import type { PinnedPackage } from './package-list.ts';
import type { PackageStore } from './package-store.ts';
import { packumentUrl } from './registry.ts';
import { AnswerError, NotFoundError, type RegistryClient } from './registry-client.ts';

const attemptsMax = 3;
const attemptMs = 5 * 60_000;
const packumentBytesMax = 64 * 1024 * 1024;

/**
 * Brings one package into the store, checked against the hash that the lockfile pins. Asks again
 * where the network failed; never where an answer was wrong. Nothing of the package is executed,
 * or even unpacked.
 */
export async function fetchPackage(
  wanted: PinnedPackage,
  to: { client: RegistryClient; store: PackageStore; bytesMax: number; signal: AbortSignal },
): Promise<{ bytes: number; host: string }> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetchOnce(wanted, { ...to, signal: deadlineSignal(attemptMs, to.signal) });
    } catch (cause) {
      to.signal.throwIfAborted();
      if (cause instanceof OrchestraError) throw cause;
      if (isWrongHash(cause)) throw wrongHash(wanted);
      if (attempt === attemptsMax || !isPassing(cause)) throw unavailable(wanted, cause);
      await wait(200 * 4 ** (attempt - 1), undefined, { signal: to.signal });
    }
  }
}

async function fetchOnce(
  wanted: PinnedPackage,
  to: { client: RegistryClient; store: PackageStore; bytesMax: number; signal: AbortSignal },
): Promise<{ bytes: number; host: string }> {
  const { client, store, bytesMax, signal } = to;
  const options = { accept: '*/*', bytesMax, signal };
  const { body, host } = await client.get(wanted.url, wanted, options).catch(async (error) => {
    // A lockfile without addresses leaves the registry to say where it keeps its tarballs. The hash
    // is pinned all the same, so the answer can only be right or refused.
    if (!(error instanceof NotFoundError) || wanted.resolved !== undefined) throw error;
    return client.get(await askForAddress(wanted, client, signal), wanted, options);
  });
  const bytes = await store.put(`${wanted.name}@${wanted.version}`, wanted.integrity, body, signal);
  return { bytes, host };
}

async function askForAddress(
  wanted: PinnedPackage,
  client: RegistryClient,
  signal: AbortSignal,
): Promise<string> {
  const { body } = await client.get(packumentUrl(wanted.registry, wanted.name), wanted, {
    accept: 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*',
    bytesMax: packumentBytesMax,
    signal,
  });
  const packument = (await json(body)) as {
    versions?: Record<string, { dist?: { tarball?: unknown } }>;
  } | null;
  const versions = packument?.versions ?? {};
  const tarball = Object.hasOwn(versions, wanted.version)
    ? versions[wanted.version]?.dist?.tarball
    : undefined;
  if (typeof tarball !== 'string' || !URL.canParse(tarball)) throw new NotFoundError();
  return tarball;
}

function wrongHash(wanted: PinnedPackage): OrchestraError {
  return new OrchestraError(
    'package.integrity',
    `${name(wanted)} came with another hash than package-lock.json pins`,
    { hint: 'Nothing of it was kept. Compare the lockfile with one that you trust' },
  );
}

function unavailable(wanted: PinnedPackage, cause: unknown): OrchestraError {
  const why =
    cause instanceof AnswerError ? cause.message : ((cause as { code?: string }).code ?? 'failed');
  return new OrchestraError(
    'package.unavailable',
    `${name(wanted)} could not be fetched from ${new URL(wanted.url).host}: ${why}`,
    { hint: 'npm ping', cause },
  );
}

const name = (wanted: PinnedPackage) => JSON.stringify(`${wanted.name}@${wanted.version}`);
const isWrongHash = (error: unknown) => (error as { code?: string } | null)?.code === 'EINTEGRITY';

/** Everything below an answer (look-up, connection, a body cut off) may pass. */
function isPassing(error: unknown): boolean {
  return error instanceof AnswerError ? error.isPassing : !(error instanceof SyntaxError);
}
