import { z } from 'zod';
import { Role } from './access.ts';

/** Tokens: how somebody proves over the network who he is, and how much of it he says. */
export const TokenId = z.string().regex(/^t-[0-9a-hjkmnp-tv-z]{10}$/, 'not the id of a token');
export type TokenId = z.infer<typeof TokenId>;

export const tokenAreas = [
  'runs',
  'requests',
  'audit',
  'policies',
  'secrets',
  'images',
  'tools',
  'store',
  'usage',
  'tokens',
] as const;
type Area = (typeof tokenAreas)[number];

/** What a token may be used for. `all` is everything but `tokens:write`, which has to be said. */
export const Scope = z.enum([
  'all',
  ...tokenAreas.flatMap((area) => [`${area}:read`, `${area}:write`] as const),
]);
export type Scope = z.infer<typeof Scope>;

export const usualScopes: readonly Scope[] = ['runs:read', 'runs:write'];

/** The first word of a path behind `/v1/` that is not an area by its own name. */
const areaOfWord: Readonly<Record<string, Area>> = {
  plans: 'runs',
  snapshots: 'runs',
  provenance: 'runs',
  attestations: 'audit',
};
/** Facts about the daemon itself, and what the CLI compares a log with: any token will do. */
const open: ReadonlySet<string> = new Set([
  '/v1/doctor',
  '/v1/config',
  '/v1/whoami',
  '/v1/audit/head',
  '/v1/audit/checkpoint',
  '/v1/audit/records/:seq/proof',
  '/v1/audit/keys',
  '/v1/provenance/key',
]);
/** They come as POST and change nothing. */
const asking: ReadonlySet<string> = new Set([
  '/v1/audit/verify',
  '/v1/policies/test',
  '/v1/policies/diff',
  '/v1/policies/dry-run',
]);

/** Which scope a call needs. `any`: every token has it; a path that nobody knows needs `all`. */
export function scopeFor({ method, path }: { method: string; path: string }): Scope | 'any' {
  if (!path.startsWith('/v1/') || open.has(path)) return 'any';
  const word = path.split('/')[2] ?? '';
  const area = areaOfWord[word] ?? tokenAreas.find((each) => each === word);
  if (area === undefined) return 'all';
  return `${area}:${method === 'GET' || asking.has(path) ? 'read' : 'write'}`;
}

export function scopesAllow(scopes: readonly Scope[], needed: Scope | 'any'): boolean {
  if (needed === 'any' || scopes.includes(needed)) return true;
  return scopes.includes('all') && needed !== 'tokens:write';
}

const note = z.string().min(1).max(200);

export const CreateToken = z.strictObject({
  /** Whose it is, a name or a number of this machine's users; the caller's own if left out. */
  for: z.string().min(1).max(64).optional(),
  /** Not more than the caller and the owner have; all that both have if left out. */
  roles: z.array(Role).min(1).max(8).optional(),
  scopes: z.array(Scope).min(1).max(32).optional(),
  expiresMs: z.number().int().min(1000).max(Number.MAX_SAFE_INTEGER).optional(),
  note: note.optional(),
});
export type CreateToken = z.infer<typeof CreateToken>;

export const TokenRow = z.strictObject({
  id: TokenId,
  uid: z.number().int(),
  /** The owner's name now. */
  user: z.string().optional(),
  roles: z.array(Role),
  scopes: z.array(Scope),
  /** `idle`: its owner has none of its roles any more. */
  state: z.enum(['active', 'idle', 'expired', 'revoked']),
  created_at: z.string(),
  expires_at: z.string(),
  /** As far as this daemon saw since it started. */
  last_used_at: z.string().optional(),
  note: z.string().optional(),
});
export type TokenRow = z.infer<typeof TokenRow>;

/** `token` is told this once: the daemon keeps no more of it than a hash. */
export const CreatedToken = z.strictObject({ ...TokenRow.shape, token: z.string() });
export type CreatedToken = z.infer<typeof CreatedToken>;

export const RevokeToken = z.strictObject({ reason: z.string().min(1).max(512).optional() });

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const bodyLength = 43;
const checkLength = 6;
const shape = new RegExp(`^orc_([0-9A-Za-z]{${bodyLength}})([0-9A-Za-z]{${checkLength}})$`);

/** `orc_`, 32 random bytes in base 62, and a checksum: one that was copied wrongly is known as such. */
export function spellToken(secret: Uint8Array): string {
  if (secret.length !== 32) throw new Error('a token has 32 bytes');
  const value = secret.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const body = inBase62(value, bodyLength);
  return `orc_${body}${checksum(body)}`;
}

/** Whether a text can be a token at all; of one that was cut or mistyped it is false. */
export function isTokenText(text: string): boolean {
  const [, body = '', check] = shape.exec(text) ?? [];
  return check !== undefined && check === checksum(body);
}

function checksum(body: string): string {
  return inBase62(BigInt(crc32(body)), checkLength);
}

function inBase62(value: bigint, length: number): string {
  let rest = value;
  let text = '';
  for (; text.length < length; rest /= 62n) text = digits.charAt(Number(rest % 62n)) + text;
  return text;
}

/** CRC-32 as zlib has it, of ASCII. */
function crc32(text: string): number {
  let crc = 0xffff_ffff;
  for (let at = 0; at < text.length; at += 1) {
    crc ^= text.charCodeAt(at);
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb8_8320 : 0);
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}
