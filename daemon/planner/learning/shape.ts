import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import { digestOf } from '../../base/canonical.ts';
import { readIntent } from '../intent.ts';
import type { Profile } from '../profile.ts';

/** What a plan does, whatever its tasks are called and whoever made it. */
export function shapeOf({ tasks }: Pick<Plan, 'tasks'>): Digest {
  const own = new Map(
    tasks.map(({ id, tool, args, env, cwd, sideEffects = false, onFailure, inputs = [] }) => [
      id,
      digestOf({ tool, args, env, cwd, sideEffects, onFailure, inputs }),
    ]),
  );
  const specs = tasks.map(({ id, deps }) => {
    const before = deps.map((dep) => own.get(dep) ?? '').toSorted();
    return [own.get(id), ...before].join(' ');
  });
  return digestOf(specs.toSorted());
}

/**
 * What was asked for, in words that the rules know; undefined where there are others. Only words
 * of ours come into the log in clear.
 */
export function goalOf(intent: string): string | undefined {
  const { actions, all, names, only } = readIntent(intent);
  if (names.length > 0 || (actions.length === 0 && !all)) return undefined;
  return [...(all ? ['all'] : actions), ...only.map((one) => `in:${one}`).sort()].join(' ');
}

const marks =
  /^(?:package\.json|tsconfig.*\.json|[Mm]akefile|GNUmakefile|Cargo\.(?:toml|lock)|go\.(?:mod|sum)|pyproject\.toml|tox\.ini|.*\.lock|.*-lock\..*|bun\.lockb|CMakeLists\.txt|gradlew|mvnw|pom\.xml|build\.gradle.*)$/;

/** Workspaces of one kind have the same manifests and scripts, whatever else is in them. */
export function kindOf({ names, packages, markers, texts }: Profile): Digest {
  return digestOf({
    names: names.filter((name) => marks.test(name)),
    packages: packages.length,
    markers: markers.length,
    scripts: scriptsOf(texts['package.json']),
  });
}

function scriptsOf(text: string | undefined): string[] {
  try {
    const manifest: unknown = JSON.parse(text ?? '');
    if (typeof manifest !== 'object' || manifest === null || !('scripts' in manifest)) return [];
    const { scripts } = manifest;
    return typeof scripts === 'object' && scripts !== null ? Object.keys(scripts).sort() : [];
  } catch {
    return [];
  }
}
