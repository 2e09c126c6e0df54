import { setImmediate } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { CaseResult, PolicyTestReport } from '#contract/policy-tools.ts';
import type { EffectivePolicy } from '../effective.ts';
import type { Judge } from '../judge.ts';
import { ruleName, type Judgement } from '../judgement.ts';
import { parseCases, type PolicyCase } from './document.ts';

export type CasesFile = { file: string; text: string };

/**
 * Judges every case, and counts which rules and profiles the cases reach. Gives way to others while
 * it works.
 */
export async function runCases(
  judge: Judge,
  policy: EffectivePolicy,
  files: readonly CasesFile[],
  signal?: AbortSignal,
): Promise<Omit<PolicyTestReport, 'policy'>> {
  const coverage = new Coverage(policy);
  const all = files.flatMap(({ file, text }) =>
    parseCases(text, file).map((one) => ({ file, one })),
  );
  const rules = policy.documents.reduce((sum, one) => sum + (one.rules?.length ?? 0), 0);
  if (all.length * Math.max(1, rules) > questionsMax) {
    throw new OrchestraError(
      'request.too_large',
      `${all.length} cases for ${rules} rules are more than are judged at once`,
      { hint: 'split the cases into files, and name one of them' },
    );
  }
  const cases: CaseResult[] = [];
  for (const { file, one } of all) {
    const judgement = judge.judge(policy, one.input);
    coverage.count(judgement);
    cases.push(resultOf(file, one, judgement));
    if (cases.length % 64 !== 0) continue;
    await setImmediate();
    signal?.throwIfAborted();
  }
  const failed = cases.filter(({ ok }) => !ok).length;
  return { cases, passed: cases.length - failed, failed, coverage: coverage.report() };
}

const reasonsMax = 20;
/** Cases times rules. */
const questionsMax = 5_000_000;

function resultOf(file: string, one: PolicyCase, judgement: Judgement): CaseResult {
  const { effect, profile, deciding, ask } = judgement;
  const names = deciding.map(ruleName);
  const differs: string[] = [];
  const expect = (what: string, expected: string, got: string) => {
    if (expected !== got) differs.push(`${what} is ${got}, not ${expected}`);
  };
  expect('the effect', one.expect, effect);
  if (one.rule !== undefined && !deciding.some((rule) => isNamed(rule, one.rule))) {
    differs.push(`decided by ${names.join(', ')}, not by ${one.rule}`);
  }
  if (one.profile !== undefined) expect('the profile', one.profile, profile);
  if (one.approvals !== undefined) {
    expect('the number of approvals', String(one.approvals), String(ask?.approvals ?? 0));
  }
  return {
    file,
    line: one.line,
    name: one.name,
    ok: differs.length === 0,
    expected: {
      effect: one.expect,
      ...(one.rule === undefined ? {} : { rule: one.rule }),
      ...(one.profile === undefined ? {} : { profile: one.profile }),
      ...(one.approvals === undefined ? {} : { approvals: one.approvals }),
    },
    got: {
      effect,
      rules: names.slice(0, reasonsMax),
      profile,
      ...(ask === undefined ? {} : { approvals: ask.approvals }),
      reasons: deciding.slice(0, reasonsMax).map(({ reason }) => reason),
    },
    differs,
  };
}

function isNamed(rule: { document: string; id: string }, name: string | undefined): boolean {
  return rule.id === name || ruleName(rule) === name;
}

class Coverage {
  readonly #rules = new Map<string, PolicyTestReport['coverage']['rules'][number]>();
  readonly #profiles = new Map<string, PolicyTestReport['coverage']['profiles'][number]>();

  constructor({ documents }: EffectivePolicy) {
    for (const { name: document, rules, profiles } of documents) {
      for (const { id, line, effect } of rules ?? []) {
        const row = { document, rule: id, line, effect, held: 0, decided: 0 };
        this.#rules.set(ruleName({ document, id }), row);
      }
      if (profiles.length === 0) continue;
      for (const profile of [...profiles.map(({ name }) => name), 'standard']) {
        this.#profiles.set(`${document}/${profile}`, { document, profile, applied: 0 });
      }
    }
  }

  count({ rules, deciding, profiles }: Judgement): void {
    for (const rule of rules) {
      const row = this.#rules.get(ruleName(rule));
      if (row !== undefined && rule.value !== false) row.held += 1;
    }
    for (const rule of deciding) {
      const row = this.#rules.get(ruleName(rule));
      if (row !== undefined) row.decided += 1;
    }
    for (const { document, profile } of profiles) {
      const row = this.#profiles.get(`${document}/${profile}`);
      if (row !== undefined) row.applied += 1;
    }
  }

  report(): PolicyTestReport['coverage'] {
    const rules = [...this.#rules.values()];
    const profiles = [...this.#profiles.values()];
    const total = rules.length + profiles.length;
    const covered =
      rules.filter(({ decided }) => decided > 0).length +
      profiles.filter(({ applied }) => applied > 0).length;
    // Of nothing to reach, all is reached; and 100 is said only where nothing is left.
    const percent = total === 0 ? 100 : Math.floor((covered / total) * 100);
    return { rules, profiles, covered, total, percent };
  }
}
