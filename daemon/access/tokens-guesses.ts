import { isIPv6 } from 'node:net';

type Row = { failures: number; lastAt: number; heldUntil: number; known: Set<string> };

const freeFailures = 10;
const holdMs = 1_000;
const holdMaxMs = 60_000;
const forgottenMs = 10 * 60_000;
const addressesMax = 10_000;
const knownMax = 32;

/**
 * Who keeps trying tokens that do not hold: after ten of them an address has to wait, each time twice
 * as long, up to a minute. Tokens are long enough not to be guessed; this keeps the trying from
 * costing anything. What came in from an address before goes on coming in: on one machine, or behind
 * one router, nobody locks the others out. A fact of this process, gone with it.
 */
export class Guesses {
  readonly #rows = new Map<string, Row>();

  /** How long this address has to wait with this token, 0 where it need not. */
  waitMs(address: string, token: string | undefined, now: number): number {
    const row = this.#rows.get(placeOf(address));
    if (row === undefined || (token !== undefined && row.known.has(token))) return 0;
    return Math.max(0, row.heldUntil - now);
  }

  failed(address: string, now: number): void {
    const row = this.#row(placeOf(address), now);
    if (now - row.lastAt > forgottenMs) row.failures = 0;
    row.failures += 1;
    row.lastAt = now;
    const beyond = row.failures - freeFailures;
    if (beyond >= 0) row.heldUntil = now + Math.min(holdMs * 2 ** Math.min(beyond, 16), holdMaxMs);
  }

  succeeded(address: string, token: string, now: number): void {
    const { known } = this.#row(placeOf(address), now);
    if (known.size >= knownMax) known.delete(known.values().next().value ?? '');
    known.add(token);
  }

  #row(place: string, now: number): Row {
    const before = this.#rows.get(place);
    // Whoever was seen last is forgotten last.
    this.#rows.delete(place);
    const row = before ?? { failures: 0, lastAt: now, heldUntil: 0, known: new Set() };
    this.#rows.set(place, row);
    if (this.#rows.size > addressesMax) this.#rows.delete(this.#rows.keys().next().value ?? '');
    return row;
  }
}

/** Whoever has an IPv6 address has 2^64 of them. */
function placeOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address;
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? [];
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - front.length - back.length;
  const all = [...front, ...Array.from({ length: Math.max(0, gap) }, () => '0'), ...back];
  return `${all
    .slice(0, 4)
    .map((part) => Number.parseInt(part, 16).toString(16))
    .join(':')}::/64`;
}
