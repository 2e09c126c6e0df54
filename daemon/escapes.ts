import type { Check } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Log } from './audit/types.ts';
import {
  knownEscapes,
  refusedEscapes,
  unknownVersions,
  type Component,
  type KnownEscape,
} from './engine/known-escapes.ts';
import { compareVersions } from './engine/versions.ts';

/**
 * Does not go on with a runtime that tasks are known to break out of. What the operator accepted by
 * name is put on record at every start.
 */
export async function refuseEscapes(
  components: readonly Component[],
  accepted: readonly string[],
  log: Pick<Log, 'append'>,
): Promise<void> {
  const known = knownEscapes(components);
  const refused = refusedEscapes(known, accepted);
  if (refused.length > 0) {
    throw new OrchestraError(
      'runtime.vulnerable',
      `Tasks can break out of this runtime: ${refused.map(inWords).join('; ')}`,
      { hint: `${remedy(refused)}, or accept_vulnerable_runtime: [${names(refused)}]` },
    );
  }
  const open = known.filter(({ unreached }) => unreached === undefined);
  for (const component of new Set(open.map((escape) => escape.component))) {
    await log.append({
      type: 'runtime.accepted',
      sev: 'warn',
      data: {
        component: component.name,
        version: component.package ?? component.version ?? '',
        cves: open.filter((escape) => escape.component === component).map(({ cve }) => cve),
      },
    });
  }
}

/** The same for `doctor`: also what is known and cannot be reached here, and what is not known. */
export function examineEscapes(components: readonly Component[] | undefined): Check {
  const name = 'escapes';
  if (components === undefined || components.length === 0) {
    return {
      name,
      status: 'warning',
      message: 'the engine does not say which programs make its containers',
      remedy: 'compare their versions with docs/decisions/0008 by hand',
    };
  }
  const said = components
    .map((one) => `${one.name} ${one.package ?? one.version ?? 'of unknown version'}`)
    .join(', ');
  const known = knownEscapes(components);
  const open = known.filter(({ unreached }) => unreached === undefined);
  if (open.length > 0) {
    return {
      name,
      status: 'problem',
      message: `${said}; accepted by configuration: ${open.map(inWords).join('; ')}`,
      remedy: remedy(open),
    };
  }
  const message =
    known.length === 0
      ? `${said}; no known way out`
      : `${said}; known and out of reach here: ${names(known)}`;
  const isUnclear = known.length > 0 || unknownVersions(components).length > 0;
  return {
    name,
    status: isUnclear ? 'warning' : 'ok',
    message,
    ...(known.length === 0 ? {} : { remedy: remedy(known) }),
  };
}

const inWords = ({ cve, component, what }: KnownEscape) =>
  `${component.name} ${component.package ?? component.version ?? ''}: ${what} (${cve})`;

const names = (known: readonly KnownEscape[]) => known.map(({ cve }) => cve).join(', ');

/** What has to be installed of each program, so that nothing of this is left. */
function remedy(known: readonly KnownEscape[]): string {
  const programs = [...new Set(known.map(({ program }) => program))];
  return programs
    .map((program) => {
      const wanted = known.filter((each) => each.program === program);
      return `install ${program} ${newest(wanted.map(({ fixed }) => newestRelease(fixed)))} or newer`;
    })
    .join(', ');
}

function newestRelease(fixed: readonly string[]): string {
  const releases = fixed.filter((version) => !version.includes('rc'));
  return newest(releases.length > 0 ? releases : fixed);
}

function newest(versions: readonly string[]): string {
  return versions.toSorted((a, b) => compareVersions(a, b) ?? 0).at(-1) ?? '';
}
