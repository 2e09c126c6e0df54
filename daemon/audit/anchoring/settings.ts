import { isIP } from 'node:net';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { Duration } from '#contract/units.ts';
import { parseVkey, type VerifierKey } from '#verifier/tlog/note.ts';
import { isNearby } from './nearby.ts';

const Name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and "-", 63 at most');
const Word = z
  .string()
  .max(4096)
  .regex(/^[^\0]*$/, 'must not hold NUL');

/** A program that is given each checkpoint on its standard input. */
const Anchor = z.strictObject({
  name: Name,
  command: z
    .array(Word)
    .min(1)
    .max(64)
    .refine(([program = '']) => program.startsWith('/'), 'begins with the absolute path'),
  timeout: Duration.optional(),
  every: Duration.optional(),
});

const Witness = z.strictObject({
  name: Name,
  /** The submission prefix of C2SP tlog-witness. */
  url: z.string().max(2048),
  vkey: z.string().max(512),
  timeout: Duration.optional(),
  every: Duration.optional(),
});

/** Keys of the section `audit` in the settings file. */
export const anchoringKeys = {
  anchors: z.array(Anchor).max(16).optional(),
  witnesses: z
    .strictObject({ quorum: z.number().int().min(1).max(16), members: z.array(Witness).max(16) })
    .optional(),
  max_unanchored: z
    .strictObject({
      age: Duration.optional(),
      records: z.number().int().min(1).max(1_000_000_000).optional(),
      action: z.enum(['warn', 'block']),
    })
    .refine(
      ({ age, records }) => age !== undefined || records !== undefined,
      'needs age or records',
    )
    .optional(),
};
type Keys = z.ZodObject<typeof anchoringKeys>;
type Document = z.infer<Keys>;

type HookSettings = {
  name: string;
  command: readonly string[];
  timeoutMs: number;
  everyMs: number;
};
type WitnessSettings = {
  name: string;
  url: URL;
  key: VerifierKey;
  timeoutMs: number;
  everyMs: number;
};
type Unanchored = {
  ageMs: number | undefined;
  records: number | undefined;
  action: 'warn' | 'block';
};

/** Who is told of checkpoints, and what happens when nobody hears. From the settings file alone. */
export type AnchoringSettings = {
  hooks: readonly HookSettings[];
  witnesses: readonly WitnessSettings[];
  /** How many witnesses have to cosign; 0 where there are none. */
  quorum: number;
  limit: Unanchored | undefined;
};

const hookTimeoutMs = 30_000;
const hookEveryMs = 60_000;
const witnessTimeoutMs = 10_000;
const witnessEveryMs = 10_000;

/** Throws `config.invalid` for what each key alone cannot show. */
export function anchoringSettings(document: Document): AnchoringSettings {
  const hooks = (document.anchors ?? []).map(({ name, command, timeout, every }) => ({
    name,
    command,
    timeoutMs: timeout ?? hookTimeoutMs,
    everyMs: every ?? hookEveryMs,
  }));
  const members = document.witnesses?.members ?? [];
  const witnesses = members.map(({ name, url, vkey, timeout, every }) => ({
    name,
    url: witnessUrl(name, url),
    key: witnessKey(name, vkey),
    timeoutMs: timeout ?? witnessTimeoutMs,
    everyMs: every ?? witnessEveryMs,
  }));
  const quorum = document.witnesses?.quorum ?? 0;
  if (quorum > witnesses.length) {
    throw invalid(`witnesses.quorum is ${quorum}, of ${witnesses.length} members`);
  }
  unique('anchors', hooks);
  unique('witnesses', witnesses);
  if (new Set(witnesses.map(({ key }) => key.vkey)).size < witnesses.length) {
    // Two names for one key would make a quorum of one.
    throw invalid('two witnesses have the same vkey');
  }
  const limit = document.max_unanchored;
  if (limit !== undefined && hooks.length + witnesses.length === 0) {
    throw invalid('max_unanchored is set, and neither anchors nor witnesses are');
  }
  return {
    hooks,
    witnesses,
    quorum,
    limit: limit && { ageMs: limit.age, records: limit.records, action: limit.action },
  };
}

function witnessUrl(name: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.username === '' && url.password === '' && url.search === '' && !url.hash;
  if (url === undefined || !/^https?:$/.test(url.protocol) || !isPlain) {
    throw invalid(`the url of witness ${name} is not http(s)://host/prefix`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'http:' && isIP(host) !== 0 && !isNearby(host)) {
    throw invalid(`the url of witness ${name} is on the open net and not https`);
  }
  return url;
}

function witnessKey(name: string, vkey: string): VerifierKey {
  const key = parseVkey(vkey);
  if (key?.kind === 'cosignature') return key;
  throw invalid(`the vkey of witness ${name} is not NAME+ID+KEY of an Ed25519 cosigner`);
}

function unique(key: string, named: readonly { name: string }[]): void {
  const names = named.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw invalid(`${key} has ${twice} twice`);
}

function invalid(message: string): OrchestraError {
  return new OrchestraError('config.invalid', message, { hint: 'see docs/CONFIG.md, Anchoring' });
}
