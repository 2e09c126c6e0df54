import { escapes, type Escape } from './escapes.ts';
import { hasDebianFix, isFixed } from './versions.ts';

/** A program that takes part in making containers; without a version where nobody can be asked. */
export type Component = {
  name: string;
  version: string | undefined;
  /** The version of the distribution's package, which may carry fixes under an older number. */
  package?: string;
};

export type KnownEscape = Escape & { component: Component };

/** Every known way out of these programs, whether it can be reached here or not. */
export function knownEscapes(
  components: readonly Component[],
  table: readonly Escape[] = escapes,
): KnownEscape[] {
  return components.flatMap((component) =>
    table
      .filter(({ program }) => program === component.name)
      .filter((escape) => isOpen(component, escape))
      .map((escape) => ({ ...escape, component })),
  );
}

/** Programs of which nothing can be said. */
export function unknownVersions(components: readonly Component[]): string[] {
  return components
    .filter(({ version }) => version === undefined || isFixed(version, ['0.0.0']) === undefined)
    .map(({ name }) => name);
}

function isOpen({ version, package: packed }: Component, { fixed, debian }: Escape): boolean {
  if (version === undefined) return false;
  if (packed !== undefined && debian?.some((each) => hasDebianFix(packed, each)) === true) {
    return false;
  }
  return isFixed(version, fixed) === false;
}

/** What keeps the daemon from starting: reachable here, and not accepted by its name. */
export function refusedEscapes(
  known: readonly KnownEscape[],
  accepted: readonly string[],
): KnownEscape[] {
  return known.filter(({ cve, unreached }) => unreached === undefined && !accepted.includes(cve));
}
