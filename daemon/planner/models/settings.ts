import { isIP } from 'node:net';
import { z } from 'zod';
import { Duration } from '#contract/units.ts';

const AbsolutePath = z
  .string()
  .regex(/^\/[^\0]*$/, 'must be an absolute path')
  .max(4096);
const Tokens = z.number().int().min(1).max(100_000_000);
const Money = z.number().min(0).max(1_000_000);

export const plannerKinds = ['rules', 'anthropic', 'openai', 'compatible'] as const;
export type PlannerKind = (typeof plannerKinds)[number];

const PlannerEntry = z
  .strictObject({
    kind: z.enum(plannerKinds),
    name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be lower-case letters, digits and "-"'),
    model: z.string().min(1).max(128).optional(),
    /** Nothing else is ever called: https, or http to this machine. */
    base_url: z.string().min(1).max(1024).optional(),
    /** http to another machine, where everything can be read on the way. Never with a key. */
    plain_http: z.boolean().optional(),
    /** A file of the daemon's user that nobody else can read, or a credential of systemd. */
    key: z
      .union([
        z.strictObject({ file: AbsolutePath }),
        z.strictObject({ credential: z.string().regex(/^[A-Za-z0-9_.-]{1,255}$/) }),
      ])
      .optional(),
    effort: z.enum(['low', 'medium', 'high']).optional(),
    /** How the shape of the answer is asked for; found out for `compatible` if left out. */
    answer: z.enum(['schema', 'object', 'text']).optional(),
    /** The most that one answer may have. */
    output_tokens: z.number().int().min(256).max(200_000).optional(),
    /** Without an event for so long, a stream is given up. */
    idle: Duration.optional(),
    /** Of one plan, over all questions. `cost` is in the currency of `price`. */
    budget: z
      .strictObject({
        tokens: Tokens.optional(),
        cost: Money.optional(),
        time: Duration.optional(),
        /** Of all plans of a day, by UTC. */
        day: z.strictObject({ tokens: Tokens.optional(), cost: Money.optional() }).optional(),
      })
      .optional(),
    /** For a million tokens. */
    price: z.strictObject({ input: Money, output: Money }).optional(),
  })
  .superRefine((entry, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (entry.kind === 'rules') {
      const more = Object.keys(entry).find((key) => key !== 'kind' && key !== 'name');
      if (more !== undefined) wrong(more, 'rules have no settings');
      if (entry.name !== 'rules') wrong('name', 'the planner by rules is called rules');
      return;
    }
    if (entry.name === 'rules' || reservedNames.includes(entry.name)) {
      wrong('name', `${entry.name} is a planner of Orchestra's own`);
    }
    if (entry.model === undefined) wrong('model', 'is missing');
    if (entry.kind === 'compatible' ? entry.base_url === undefined : entry.key === undefined) {
      wrong(entry.kind === 'compatible' ? 'base_url' : 'key', 'is missing');
    }
    if (entry.answer !== undefined && entry.kind !== 'compatible') {
      wrong('answer', 'is for compatible servers only');
    }
    // A limit that nothing can be measured against would be none.
    const cost = entry.budget?.cost ?? entry.budget?.day?.cost;
    if (cost !== undefined && entry.price === undefined) {
      wrong('budget', 'a cost needs the price of the model');
    }
    const why = entry.base_url === undefined ? undefined : urlProblem(entry.base_url, entry);
    if (why !== undefined) wrong('base_url', why);
  });
export type PlannerEntry = z.infer<typeof PlannerEntry>;

/** Names that records use for what is no planner of the configuration. */
const reservedNames: readonly string[] = ['file', 'exec', 'earlier'];

export const PlannerList = z
  .array(PlannerEntry)
  .max(16)
  .refine(
    (all) => new Set(all.map(({ name }) => name)).size === all.length,
    'a name is there twice',
  );

export type KeySource = { file: string } | { credential: string };

export type ModelSettings = {
  kind: Exclude<PlannerKind, 'rules'>;
  name: string;
  model: string;
  baseUrl: URL;
  key: KeySource | undefined;
  effort: 'low' | 'medium' | 'high' | undefined;
  answer: 'schema' | 'object' | 'text' | undefined;
  outputTokens: number;
  idleMs: number;
  budget: {
    tokens: number | undefined;
    costMicro: number | undefined;
    timeMs: number | undefined;
    dayTokens: number | undefined;
    dayCostMicro: number | undefined;
  };
  /** Millionths of the currency for a token. */
  price: { input: number; output: number } | undefined;
};

export type PlannerSettings = { kind: 'rules'; name: 'rules' } | ModelSettings;

const outputTokens = 16_000;
const idleMs = 30_000;
export const planWithinMs = 120_000;

/** In the order of trial; the rules come last where they are not named, so there is always one. */
export function plannerSettings(entries: readonly PlannerEntry[]): PlannerSettings[] {
  const all = entries.map(settingsOf);
  return all.some(({ kind }) => kind === 'rules')
    ? all
    : [...all, { kind: 'rules', name: 'rules' }];
}

function settingsOf(entry: PlannerEntry): PlannerSettings {
  if (entry.kind === 'rules') return { kind: 'rules', name: 'rules' };
  const { budget, price } = entry;
  return {
    kind: entry.kind,
    name: entry.name,
    model: entry.model ?? '',
    baseUrl: new URL(entry.base_url ?? vendors[entry.kind]),
    key: entry.key,
    effort: entry.effort,
    answer: entry.answer,
    outputTokens: entry.output_tokens ?? outputTokens,
    idleMs: entry.idle ?? idleMs,
    budget: {
      tokens: budget?.tokens,
      costMicro: micro(budget?.cost),
      timeMs: budget?.time,
      dayTokens: budget?.day?.tokens,
      dayCostMicro: micro(budget?.day?.cost),
    },
    price,
  };
}

function micro(cost: number | undefined): number | undefined {
  return cost === undefined ? undefined : Math.round(cost * 1e6);
}

const vendors: Readonly<Record<ModelSettings['kind'], string>> = {
  anthropic: 'https://api.anthropic.com',
  openai: 'https://api.openai.com/v1',
  compatible: 'http://127.0.0.1',
};

function urlProblem(text: string, entry: { plain_http?: boolean | undefined; key?: unknown }) {
  const url = URL.parse(text);
  if (url === null || /[\p{Cc}\s]/u.test(text)) return 'is not a URL';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must begin with https://';
  if (url.username !== '' || url.password !== '') return 'holds a password; use key';
  if (url.search !== '' || url.hash !== '') return 'must end with its path';
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    if (entry.plain_http !== true) return 'leaves this machine without TLS (plain_http: true)';
    if (entry.key !== undefined) return 'would carry the key in clear';
  }
  return undefined;
}

function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}
