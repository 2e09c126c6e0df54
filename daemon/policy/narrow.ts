import { formatLimit, limitNames, limitWords, type Limits } from '#contract/limits.ts';
import { coveredBy } from './env-pattern.ts';
import { commonGrants } from './secret-grants.ts';
import {
  seal,
  type AllowedImage,
  type ArgvRule,
  type EffectivePolicy,
  type PolicyLayer,
  type PolicyLists,
  type RunLimits,
} from './effective.ts';

/**
 * What both allow, never more: the smaller of two limits, the common part of two lists, the
 * stricter of two demands. `narrowed` says in words what of the request was above the ceiling.
 * The result carries the name of what was asked for, and is judged by the documents of both.
 */
export function narrow(
  ceiling: EffectivePolicy,
  requested: EffectivePolicy,
): { policy: EffectivePolicy; narrowed: string[] } {
  const narrowed: string[] = [];
  const note = (what: string) => narrowed.push(`${what} by policy ${ceiling.name}`);
  const policy = seal({
    name: requested.name,
    ...narrowLists(ceiling, requested, note),
    run: least<RunLimits>('run', ceiling.run, requested.run, note),
    documents: both(ceiling.documents, requested.documents),
  });
  return { policy, narrowed };
}

/** The same for lists alone. */
export function narrowLists(above: PolicyLists, below: PolicyLists, note: Note): PolicyLists {
  return {
    images: commonImages(above, below, note),
    tools: common('tools', above.tools, below.tools, note),
    argv: bothArgv(above.argv, below.argv),
    env: commonPatterns(above.env, below.env, note),
    secrets: commonGrants(above.secrets, below.secrets, note),
    limits: least<Limits>('limits', above.limits, below.limits, note),
    provision: {
      ...least('provision', above.provision, below.provision, note),
      registries: common(
        'provision.registries',
        above.provision.registries,
        below.provision.registries,
        note,
      ),
    },
    isolation: {
      seccomp: stricter(
        ['required', 'preferred'],
        above.isolation.seccomp,
        below.isolation.seccomp,
      ),
      apparmor: stricter(demands, above.isolation.apparmor, below.isolation.apparmor),
      selinux: stricter(demands, above.isolation.selinux, below.isolation.selinux),
      userns: stricter(demands, above.isolation.userns, below.isolation.userns),
      runtimes: common(
        'isolation.runtimes',
        above.isolation.runtimes,
        below.isolation.runtimes,
        note,
      ),
    },
    mounts: common('mounts', above.mounts, below.mounts, note),
  };
}

type Note = (what: string) => void;

function common<T extends string>(
  what: string,
  above: readonly T[],
  below: readonly T[],
  note: Note,
): T[] {
  const lost = below.filter((word) => !above.includes(word));
  if (lost.length > 0) note(`${what}: ${lost.join(', ')} not allowed`);
  return unique(below.filter((word) => above.includes(word)));
}

function least<T extends object>(part: string, above: T, below: T, note: Note): T {
  return Object.fromEntries(
    Object.entries(below).map(([name, value]) => {
      const max = (above as Record<string, unknown>)[name];
      if (typeof value !== 'number' || typeof max !== 'number' || value <= max) {
        return [name, value];
      }
      note(
        `${part}.${words(part, name)}: ${inWords(part, name, value)} lowered to ${inWords(part, name, max)}`,
      );
      return [name, max];
    }),
  ) as T;
}

/** Every document once, whoever brings it. */
function both(above: readonly PolicyLayer[], below: readonly PolicyLayer[]): PolicyLayer[] {
  const seen = new Set<string>();
  return [...above, ...below].filter(({ name, digest }) => {
    const key = `${name} ${digest}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** All of them have to be kept: nobody has to find out what two patterns have in common. */
function bothArgv(above: readonly ArgvRule[], below: readonly ArgvRule[]): ArgvRule[] {
  const seen = new Set<string>();
  return [...above, ...below].filter(({ tool, patterns }) => {
    const key = JSON.stringify([tool, patterns]);
    return !seen.has(key) && seen.add(key);
  });
}

function commonImages(ceiling: PolicyLists, requested: PolicyLists, note: Note): AllowedImage[] {
  const kept: AllowedImage[] = [];
  for (const wanted of requested.images) {
    // A reference may stand in a document more than once, with one digest each time.
    const found = ceiling.images
      .filter((allowed) => allowed.reference === wanted.reference)
      .flatMap((allowed) => bothImages(allowed, wanted));
    if (found.length === 0) note(`images: ${wanted.reference} not allowed`);
    kept.push(...found);
  }
  // The first of equals stays, and nothing that another line allows anyway.
  return kept.filter((one, i) =>
    kept.every((other, j) => i === j || !covers(other, one) || (covers(one, other) && i < j)),
  );
}

function covers(outer: AllowedImage, inner: AllowedImage): boolean {
  return (
    outer.reference === inner.reference &&
    (outer.digest === 'pinned' || outer.digest === inner.digest) &&
    inner.origins.every((origin) => outer.origins.includes(origin))
  );
}

function bothImages(a: AllowedImage, b: AllowedImage): AllowedImage[] {
  const origins = b.origins.filter((origin) => a.origins.includes(origin));
  if (origins.length === 0) return [];
  // A digest is narrower than the pin alone, which always holds; two different ones share nothing.
  if (a.digest !== 'pinned' && b.digest !== 'pinned' && a.digest !== b.digest) return [];
  return [
    {
      reference: a.reference,
      digest: a.digest === 'pinned' ? b.digest : a.digest,
      origins: unique(origins),
    },
  ];
}

function commonPatterns(
  above: readonly string[],
  below: readonly string[],
  note: (what: string) => void,
): string[] {
  const kept: string[] = [];
  for (const pattern of below) {
    const narrower = above.filter((other) => coveredBy(other, pattern));
    if (above.some((other) => coveredBy(pattern, other))) kept.push(pattern);
    else {
      note(`env: ${pattern} ${narrower.length > 0 ? 'cut down' : 'not allowed'}`);
      kept.push(...narrower);
    }
  }
  return unique(kept);
}

const demands = ['required', 'preferred', 'off'] as const;

function stricter<T extends string>(order: readonly T[], a: T, b: T): T {
  return order.indexOf(a) <= order.indexOf(b) ? a : b;
}

function unique<T>(items: readonly T[]): T[] {
  return [...new Set(items)];
}

function words(part: string, name: string): string {
  return part === 'limits' && isLimit(name) ? limitWords[name] : name;
}

function inWords(part: string, name: string, value: number): string {
  return part === 'limits' && isLimit(name) ? formatLimit(name, value) : String(value);
}

function isLimit(name: string): name is keyof Limits {
  return limitNames.some((known) => known === name);
}
