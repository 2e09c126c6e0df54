import { hash } from 'node:crypto';
import { OrchestraError, type ErrorPlace } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { policyBytesMax, PolicyDocument } from '#contract/policy.ts';
import { readYaml, type ParsedYaml } from '../base/yaml.ts';
import { openCompiler, type ConditionKind } from './conditions/compile.ts';
import { effectivePolicy, type EffectivePolicy } from './effective.ts';

/**
 * How many steps the conditions of one document may take for one task, whatever is in it: a part of
 * a second for what the operator wrote, some milliseconds for what anybody may hand in with a run.
 */
export const documentStepsMax = 5_000_000;
export const givenStepsMax = 250_000;

/** A policy document from its text, or `policy.invalid` with every place that is wrong. */
export function parsePolicy(text: string, file: string): PolicyDocument {
  return read(text, file).value;
}

/** The same with its conditions checked, and as it applies alone. */
export function readPolicy(
  text: string,
  file: string,
  { stepsMax = documentStepsMax } = {},
): { document: PolicyDocument; policy: EffectivePolicy } {
  const parsed = read(text, file);
  checkConditions(parsed, file, stepsMax);
  const policy = effectivePolicy(parsed.value, {
    digest: digestOfText(text),
    lineOf: (path) => parsed.locate(path).line,
  });
  return { document: parsed.value, policy };
}

/** Where something of a document stands that was read before. */
export function locateInPolicy(
  text: string,
  file: string,
  path: readonly (string | number)[],
): { file: string; line: number; column: number } {
  return read(text, file).locate(path);
}

/** As `sha256sum` says it of the file. */
export function digestOfText(text: string): Digest {
  return `sha256:${hash('sha256', text, 'hex')}`;
}

function read(text: string, file: string): ParsedYaml<PolicyDocument> {
  return readYaml(text, {
    file,
    schema: PolicyDocument,
    code: 'policy.invalid',
    maxBytes: policyBytesMax,
  });
}

const placesMax = 50;

function checkConditions(
  { value, locate, locateIn }: ParsedYaml<PolicyDocument>,
  file: string,
  stepsMax: number,
): void {
  const compiler = openCompiler();
  const places: ErrorPlace[] = [];
  let steps = 0;
  const check = (text: string, kind: ConditionKind, path: (string | number)[]) => {
    const made = compiler.compile(text, kind);
    if (made.ok) {
      steps += made.condition.steps;
      return;
    }
    for (const { offset, ...problem } of made.problems) {
      places.push({ ...locateIn(path, offset), ...problem });
    }
  };
  for (const [name, { when }] of Object.entries(value.profiles ?? {})) {
    if (when !== undefined) check(when, 'profile', ['profiles', name, 'when']);
  }
  const seen = new Set<string>();
  for (const [i, { id, when }] of (value.rules ?? []).entries()) {
    check(when, 'rule', ['rules', i, 'when']);
    if (seen.has(id))
      places.push({ ...locate(['rules', i, 'id']), message: `${id} is there twice` });
    seen.add(id);
  }
  // Asked when documents are loaded, and never for a task.
  for (const [i, { never, always }] of (value.invariants ?? []).entries()) {
    const [word, text] = never === undefined ? ['always', always ?? ''] : ['never', never];
    const made = compiler.compile(text, 'invariant');
    for (const { offset, ...problem } of made.ok ? [] : made.problems) {
      places.push({ ...locateIn(['invariants', i, word], offset), ...problem });
    }
  }
  if (places.length === 0 && steps > stepsMax) {
    const message = `its conditions could take ${steps} steps for one task, and ${stepsMax} are allowed`;
    places.push({ ...locate(['rules']), message });
  }
  if (places.length === 0) return;
  const count = places.length === 1 ? '1 problem' : `${places.length} problems`;
  throw new OrchestraError('policy.invalid', `${file} has ${count}`, {
    places: places.slice(0, placesMax),
  });
}
