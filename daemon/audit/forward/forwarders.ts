import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from '#contract/api.ts';
import type { ForwarderStatus } from '#contract/audit-export.ts';
import { OrchestraError } from '#contract/errors.ts';
import { formatDuration } from '#contract/units.ts';
import { cutText } from '../../base/text.ts';
import { matcher } from '../export/filter.ts';
import type { Log } from '../types.ts';
import { Cursor } from './cursor.ts';
import { Forwarder } from './forwarder.ts';
import { spellAddress, type ForwardSettings } from './settings.ts';
import { formatOf, openTarget } from './targets/open.ts';

export type ForwardersOptions = {
  log: Log;
  /** The log's folder. */
  dir: string;
  settings: readonly ForwardSettings[];
  host: string;
  version: string;
  now: () => number;
  random?: () => number;
  /** Once for each time that a receiver takes nothing. */
  onFailure?: (name: string, error: unknown) => void;
};

export interface Forwarders {
  /** From which record on somebody still waits for the log, and who. */
  needs(): { from: number; what: string }[];
  status(): Promise<ForwarderStatus[]>;
  /** Waits so long at most for what is still to be handed over. */
  close(drainMs?: number): Promise<void>;
}

const recordsMax = 500;

/**
 * One for each that the configuration names. One that cannot begin (its place is not in this log, or
 * cannot be read) is on record and keeps nobody else from beginning.
 */
export async function openForwarders(options: ForwardersOptions): Promise<Forwarders> {
  const { settings, dir, onFailure } = options;
  const folder = join(dir, 'forward');
  if (settings.length > 0) await mkdir(folder, { recursive: true, mode: 0o700 });
  const working: Forwarder[] = [];
  const broken: ForwarderStatus[] = [];
  for (const one of settings) {
    try {
      const forwarder = await openForwarder(one, folder, options);
      forwarder.start();
      working.push(forwarder);
    } catch (error) {
      onFailure?.(one.name, error);
      broken.push(await recordBroken(one, error, options));
    }
  }
  return {
    needs: () => [
      ...working.map(({ confirmed, name }) => ({
        // The one before it as well: by its hash a forwarder finds its place again.
        from: Math.max(0, confirmed - 1),
        what: `forwarder ${name} has not handed on what follows`,
      })),
      // Nobody knows what its receiver has.
      ...broken.map(({ name }) => ({ from: 0, what: `forwarder ${name} cannot begin` })),
    ],
    status: async () => [...(await Promise.all(working.map((each) => each.status()))), ...broken],
    close: async (drainMs) => {
      await Promise.all(working.map((each) => each.close(drainMs)));
    },
  };
}

/** One line each for `orchestra doctor`. */
export function checksOf(all: readonly ForwarderStatus[]): Check[] {
  return all.map(({ name, to, state, lag, lag_ms: lagMs, error }) => {
    const behind = lag === 0 ? 'nothing waits' : `${lag} wait, ${formatDuration(lagMs)} the oldest`;
    const isSound = state === 'current' || state === 'behind';
    return {
      name: `forward ${name}`,
      status: isSound ? 'ok' : state === 'failing' ? 'warning' : 'problem',
      message: [to, behind, ...(error === undefined ? [] : [error])].join('; '),
      ...(isSound ? {} : { remedy: remedyOf(name, state) }),
    };
  });
}

function remedyOf(name: string, state: ForwarderStatus['state']): string {
  return state === 'broken'
    ? `stop orchestrad, remove audit/forward/${name} in its state directory, say from: start or end`
    : 'look at the receiver; nothing is lost meanwhile';
}

async function openForwarder(
  settings: ForwardSettings,
  folder: string,
  { log, host, version, now, random = Math.random, onFailure }: ForwardersOptions,
): Promise<Forwarder> {
  const { name, from = 'end', batch = recordsMax, enterprise, filter = {} } = settings;
  const { target, format } = await openTarget(settings, { origin: log.origin, now });
  const cursor = await Cursor.open(folder, name, { log, from });
  return new Forwarder({
    log,
    name,
    to: spellAddress(settings.to),
    formatName: formatOf(settings),
    target,
    cursor,
    format,
    fits: matcher(filter),
    about: { origin: log.origin, host, version, enterprise },
    recordsMax: batch,
    now,
    random,
    onFailure: (error) => onFailure?.(name, error),
  });
}

async function recordBroken(
  settings: ForwardSettings,
  error: unknown,
  { log }: ForwardersOptions,
): Promise<ForwarderStatus> {
  const { name } = settings;
  const to = spellAddress(settings.to);
  const reason = cutText(error instanceof OrchestraError ? error.message : String(error), 256);
  await log.append({
    type: 'forward.stalled',
    sev: 'warn',
    outcome: 'failed',
    data: { forwarder: name, to: cutText(to, 256), next_seq: 0, failing_ms: 0, reason },
  });
  return {
    name,
    to,
    format: formatOf(settings),
    state: 'broken',
    next_seq: 0,
    lag: log.size,
    lag_ms: 0,
    sent: 0,
    error: reason,
  };
}
