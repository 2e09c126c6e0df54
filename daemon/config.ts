import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { AccessSection, QuotasSection, roles } from '#contract/access.ts';
import { OrchestraError } from '#contract/errors.ts';
import { Duration, Size, spellDuration } from '#contract/units.ts';
import { Digest } from '#contract/ids.ts';
import {
  anchoringKeys,
  anchoringSettings,
  type AnchoringSettings,
} from './audit/anchoring/settings.ts';
import { ForwardList, type ForwardSettings } from './audit/forward/settings.ts';
import type { AccessSettings } from './access/role-map.ts';
import { digestOf } from './base/canonical.ts';
import { parseYaml } from './base/yaml.ts';
import { ListenList, type ListenSettings } from './http/tcp-settings.ts';
import type { LayersWay } from './engine/sight.ts';
import {
  PlannerList,
  planWithinMs,
  plannerSettings,
  type PlannerSettings,
} from './planner/models/settings.ts';
import type { PruneSettings } from './runs/prune/pruner.ts';
import { defaultMarks, spellMark, type Mark, type Marks } from './workspace/free-space.ts';

const AbsolutePath = z
  .string()
  .regex(/^\/[^\0]*$/, 'must be an absolute path')
  .max(4096);
/** `1GiB`, or `5%` of the file system. */
const DiskMark = z.string().transform((text, context): Mark => {
  const percent = /^([1-9]\d?)%$/.exec(text)?.[1];
  if (percent !== undefined) return { percent: Number(percent) };
  const bytes = Size.safeParse(text);
  if (bytes.success) return { bytes: bytes.data };
  context.addIssue({ code: 'custom', message: 'not a size or share, write 1GiB or 5%' });
  return z.NEVER;
});
const PolicyName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'not the name of a policy');

/** The daemon's settings file. Every key may be left out; unknown ones are refused. */
export const ConfigFile = z.strictObject({
  /** Where the API listens. */
  socket: AbsolutePath.optional(),
  /** The log, blobs, snapshots and layers. */
  state_dir: AbsolutePath.optional(),
  /** The container engine, such as unix:///var/run/docker.sock; found by itself if left out. */
  engine: z.string().min(1).max(4096).optional(),
  /** A signer that runs by itself, such as unix:///run/orchestra-signer/signer.sock. */
  signer: z
    .string()
    .regex(/^unix:\/\/\/./)
    .max(4096)
    .optional(),
  /** How layers get to sandboxes: mounted, or as tar streams; found out if left out. */
  layers: z.enum(['mounts', 'streams']).optional(),
  /** The engine's name of the OCI runtime for tasks; its default one if left out. */
  runtime: z.string().min(1).max(64).optional(),
  /** Known ways out of the installed runtime that the operator takes upon himself, by name. */
  accept_vulnerable_runtime: z
    .array(z.string().regex(/^CVE-\d{4}-\d{4,7}$/, 'not the name of a CVE, such as CVE-2024-21626'))
    .max(64)
    .optional(),
  /** A folder with further policy documents, NAME.yaml each. */
  policies: AbsolutePath.optional(),
  /** Where secrets lie that something else put there, a file each; read only. */
  secrets_dir: AbsolutePath.optional(),
  /** The policy that nothing can go beyond. */
  ceiling: PolicyName.optional(),
  /** The policy of runs that name none. */
  policy: PolicyName.optional(),
  /** Tasks that run at once, of all runs together. */
  tasks_at_once: z.number().int().min(1).max(1024).optional(),
  /** Runs that may be open at once; more are answered with 429. */
  open_runs: z.number().int().min(1).max(10_000).optional(),
  /** Sandboxes that may stand ready for tasks to come; 0 makes each only when its task is there. */
  slots_ready: z.number().int().min(0).max(256).optional(),
  /** Below this much free under the state directory no run is taken and no task started. */
  disk_refuse_below: DiskMark.optional(),
  /** Below this much what runs is ended. */
  disk_stop_below: DiskMark.optional(),
  /** Who has which role; by default `root` is admin and whoever can open the socket runs things. */
  access: AccessSection.optional(),
  /** How much somebody may use. */
  quotas: QuotasSection.optional(),
  /** The strongest proof of who calls to rely on; the strongest there is if left out. */
  identity: z.enum(['peer', 'owner', 'socket']).optional(),
  /** Where else the API listens: nowhere, unless it is said here. */
  listen: ListenList.optional(),
  /** How long tokens are good for. */
  tokens: z
    .strictObject({
      usual_days: z.number().int().min(1).max(3650).optional(),
      max_days: z.number().int().min(1).max(3650).optional(),
    })
    .optional(),
  trusted_keys: z.array(Digest).max(64).optional(),
  /** Runs used within so many days are kept with all they read and wrote. */
  keep_days: z.number().int().min(0).max(36_500).optional(),
  /** The last so many runs are kept in any case. */
  keep_runs: z.number().int().min(0).max(1_000_000).optional(),
  /** What all of that may take on the disk; past it the runs used least lately go. */
  disk_budget: DiskMark.optional(),
  /** What becomes of the log itself. */
  audit: z
    .strictObject({
      /** Records are kept for so many days, then whole segments of them may go. */
      keep_days: z.number().int().min(1).max(36_500).optional(),
      /** Who else holds the log's checkpoints, and what happens when nobody does. */
      ...anchoringKeys,
    })
    .optional(),
  /** Where records go on their own, each a forwarder. */
  forward: ForwardList.optional(),
  /** Who makes plans of words, in the order of trial; the rules come last in any case. */
  planners: PlannerList.optional(),
  /** Every run is autonomous: whatever program is new in its plan is asked for. */
  autonomous: z.enum(['off', 'on']).optional(),
  /** By when a plan has to be there, whoever makes it. */
  plan_within: Duration.optional(),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).optional(),
});
type ConfigFile = z.infer<typeof ConfigFile>;
type AuditSection = NonNullable<ConfigFile['audit']>;

export type Setting = { name: string; value: string; origin: string };

export type Config = {
  socket: string;
  stateDir: string;
  engine: string | undefined;
  layers: LayersWay | undefined;
  /** The socket of a signer that runs by itself; without one the daemon starts its own. */
  signer: string | undefined;
  runtime: string | undefined;
  acceptedEscapes: readonly string[];
  policies: string | undefined;
  /** Where they come from outside; otherwise they lie in the state directory. */
  secretsDir: string | undefined;
  ceiling: string;
  policy: string;
  /** Keys whose checkpoints may be gone on from, beside this daemon's own. */
  trustedKeys: readonly Digest[];
  tasksAtOnce: number;
  openRuns: number;
  slotsReady: number;
  disk: Marks;
  keep: PruneSettings;
  audit: { keepDays: number };
  anchoring: AnchoringSettings;
  /** Where records go on their own. */
  forward: readonly ForwardSettings[];
  planners: readonly PlannerSettings[];
  planWithinMs: number;
  autonomous: boolean;
  /** Who has which role. */
  access: AccessSettings | undefined;
  quotas: QuotasSection | undefined;
  identity: 'peer' | 'owner' | 'socket' | undefined;
  listen: readonly ListenSettings[];
  /** In days: where nobody says, and at most. */
  tokens: { usual: number; max: number };
  logLevel: string;
  digest: Digest;
  settings: Setting[];
};

export type ConfigSources = {
  flags: Pick<ConfigFile, 'socket' | 'state_dir' | 'engine'>;
  /** `--config`: must exist. Otherwise `defaultFile`, which need not. */
  file: string | undefined;
  defaultFile: string;
  defaults: { socket: string; state_dir: string; secrets_dir?: string | undefined };
};

const configBytesMax = 256 * 1024;

/** Flags over the file over defaults; each setting remembers where it came from. */
export async function readConfig(sources: ConfigSources): Promise<Config> {
  const { name, document } = await readDocument(sources);
  const settings: Setting[] = [];
  const pick = <K extends keyof ConfigFile, D>(
    key: K,
    fallback: D,
  ): NonNullable<ConfigFile[K]> | D => {
    const flag = (sources.flags as ConfigFile)[key];
    const inFile = document[key];
    const value = flag ?? inFile ?? fallback;
    const origin = flag !== undefined ? 'flag' : inFile !== undefined ? name : 'default';
    const isUnset = value === undefined && key === 'disk_budget';
    settings.push({ name: key, value: isUnset ? '(none)' : inWords(value), origin });
    return value;
  };
  const pickTime = (key: 'plan_within', fallback: number) => {
    const value = document[key] ?? fallback;
    const origin = document[key] === undefined ? 'default' : name;
    settings.push({ name: key, value: spellDuration(value), origin });
    return value;
  };
  const pickOfAudit = <K extends 'keep_days'>(key: K, fallback: NonNullable<AuditSection[K]>) => {
    const value = document.audit?.[key] ?? fallback;
    const origin = document.audit?.[key] === undefined ? 'default' : name;
    settings.push({ name: `audit.${key}`, value: inWords(value), origin });
    return value;
  };
  const config = {
    socket: pick('socket', sources.defaults.socket),
    stateDir: pick('state_dir', sources.defaults.state_dir),
    engine: pick('engine', undefined),
    layers: pick('layers', undefined),
    signer: pick('signer', undefined)?.replace('unix://', ''),
    runtime: pick('runtime', undefined),
    acceptedEscapes: pick('accept_vulnerable_runtime', []),
    policies: pick('policies', undefined),
    secretsDir: pick('secrets_dir', sources.defaults.secrets_dir),
    ceiling: pick('ceiling', 'default'),
    policy: pick('policy', 'default'),
    trustedKeys: pick('trusted_keys', []),
    // Two tasks a core keep both busy while one of them waits for the disk or the engine.
    tasksAtOnce: pick('tasks_at_once', availableParallelism() * 2),
    openRuns: pick('open_runs', 64),
    slotsReady: pick('slots_ready', Math.min(8, availableParallelism() * 2)),
    disk: {
      refuseBelow: pick('disk_refuse_below', defaultMarks.refuseBelow),
      stopBelow: pick('disk_stop_below', defaultMarks.stopBelow),
    },
    keep: {
      keepDays: pick('keep_days', 14),
      keepRuns: pick('keep_runs', 50),
      budget: pick('disk_budget', undefined),
    },
    audit: { keepDays: pickOfAudit('keep_days', 400) },
    forward: pick('forward', []),
    planWithinMs: pickTime('plan_within', planWithinMs),
    autonomous: pick('autonomous', 'off') === 'on',
    identity: pick('identity', undefined),
    access: document.access,
    quotas: document.quotas,
    listen: document.listen ?? [],
    tokens: { usual: document.tokens?.usual_days ?? 30, max: document.tokens?.max_days ?? 365 },
    logLevel: pick('log_level', 'info'),
  };
  settings.push(
    ...anchoringRows(document.audit, name),
    ...accessRows(document.access, name),
    quotasRow(document.quotas, name),
  );
  settings.push(...networkRows(document, name));
  const { anchors, witnesses, max_unanchored } = document.audit ?? {};
  const planners = pick('planners', []);
  // As text: a price is a fraction, and digests have none.
  const asked = JSON.stringify(planners);
  const digest = digestOf({ ...config, anchors, witnesses, max_unanchored, planners: asked });
  return {
    ...config,
    planners: plannerSettings(planners),
    anchoring: anchoringSettings(document.audit ?? {}),
    digest,
    settings,
  };
}

// Names only: a command or an address may hold what is not for everybody.
function anchoringRows(section: AuditSection | undefined, file: string): Setting[] {
  const { anchors, witnesses, max_unanchored: limit } = section ?? {};
  const names = (all: readonly { name: string }[]) => all.map(({ name }) => name).join(' ');
  const rows = {
    anchors: anchors && names(anchors),
    witnesses: witnesses && `${witnesses.quorum} of ${names(witnesses.members)}`,
    max_unanchored:
      limit &&
      [
        limit.action,
        ...(limit.records === undefined ? [] : [`at ${limit.records} records`]),
        ...(limit.age === undefined ? [] : [`at ${spellDuration(limit.age)}`]),
      ].join(' '),
  };
  return Object.entries(rows).map(([key, value]) => ({
    name: `audit.${key}`,
    value: value ?? '(none)',
    origin: value === undefined ? 'default' : file,
  }));
}

function accessRows(section: AccessSettings | undefined, file: string): Setting[] {
  return roles.map((role) => ({
    name: `access.${role}`,
    value: section === undefined ? (unsaid[role] ?? '(none)') : inWords(section[role] ?? []),
    origin: section === undefined ? 'default' : file,
  }));
}

/** Whom there are lines for; `orchestra whoami` and `orchestra usage` say how much. */
function quotasRow(section: QuotasSection | undefined, file: string): Setting {
  const { default: rest, roles: byRole = {}, users = {} } = section ?? {};
  const named = [...(rest ? ['default'] : []), ...Object.keys(byRole), ...Object.keys(users)];
  return {
    name: 'quotas',
    value: inWords(named),
    origin: section === undefined ? 'default' : file,
  };
}

const unsaid: Partial<Record<string, string>> = { admin: 'uid:0', runner: 'anyone' };

function networkRows({ listen, tokens }: ConfigFile, file: string): Setting[] {
  const from = (value: unknown) => (value === undefined ? 'default' : file);
  const addresses = listen?.map(({ address, tls }) => (tls ? `${address} (TLS)` : address)) ?? [];
  return [
    { name: 'listen', value: inWords(addresses), origin: from(listen) },
    {
      name: 'tokens.usual_days',
      value: inWords(tokens?.usual_days ?? 30),
      origin: from(tokens?.usual_days),
    },
    {
      name: 'tokens.max_days',
      value: inWords(tokens?.max_days ?? 365),
      origin: from(tokens?.max_days),
    },
  ];
}

function inWords(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return `${value}`;
  if (Array.isArray(value)) {
    const words = value.map((each: string | { name: string }) =>
      typeof each === 'string' ? each : each.name,
    );
    return words.length === 0 ? '(none)' : words.join(' ');
  }
  return value === undefined ? '(found)' : spellMark(value as Mark);
}

async function readDocument(
  sources: ConfigSources,
): Promise<{ name: string; document: ConfigFile }> {
  const name = sources.file ?? sources.defaultFile;
  let text: string;
  try {
    text = await readFile(name, 'utf8');
  } catch (cause) {
    const isAbsent = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    if (isAbsent && sources.file === undefined) return { name, document: {} };
    throw new OrchestraError('config.invalid', `The configuration ${name} cannot be read`, {
      hint: 'check the path given with --config and its permissions',
      cause,
    });
  }
  // Every key may be left out, and so may all of them.
  if (text.length <= configBytesMax && saysNothing(text)) return { name, document: {} };
  const document = parseYaml(text, {
    file: name,
    schema: ConfigFile,
    code: 'config.invalid',
    maxBytes: configBytesMax,
  });
  return { name, document };
}

function saysNothing(text: string): boolean {
  return text.split('\n').every((line) => /^\s*(?:#|$)/.test(line));
}
