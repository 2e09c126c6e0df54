import { digestOfText, readPolicy } from '../../policy/document.ts';
import { changesBetween } from '../../policy/compare/said.ts';
import { compareDecisions } from '../../policy/compare/decisions.ts';
import { openJudge } from '../../policy/judge.ts';
import { runCases } from '../../policy/tests/run-cases.ts';
import { documentOf, inPlace } from '../../runs/policy-tools/candidate.ts';
import { dryRun } from '../../runs/policy-tools/dry-run.ts';
import { explainDecisions } from '../../runs/policy-tools/explain.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'policyExplain' | 'policyTest' | 'policyDiff' | 'policyDryRun'>;

export function policyToolRoutes({ runs, runsDeps }: RouteDeps): Part {
  const { policies } = runsDeps;
  return {
    policyExplain: async ({ param, query }) =>
      explainDecisions(runs, runsDeps, { run: param('id'), ...query }),
    policyTest: async ({ body, signal }) => {
      const { policy: alone } = readPolicy(body.policy.text, body.policy.file);
      const policy = body.under_ceiling ? inPlace(policies, alone) : alone;
      // One of its own, so that documents that come and go push out none that is in force.
      const report = await runCases(openJudge(), policy, body.tests, signal);
      const digest = digestOfText(body.policy.text);
      return { policy: { name: alone.name, digest }, ...report };
    },
    policyDiff: async ({ body, signal }) => {
      const [before, after] = [documentOf(policies, body.before), documentOf(policies, body.after)];
      const compared = await compareDecisions(openJudge(), before, after, signal);
      return {
        before: { name: before.name, digest: before.documents.at(-1)?.digest ?? before.digest },
        after: { name: after.name, digest: after.documents.at(-1)?.digest ?? after.digest },
        changes: changesBetween(before, after),
        ...compared,
      };
    },
    policyDryRun: async ({ body, caller, signal }) =>
      dryRun(runs, runsDeps, body, { caller, signal }),
  };
}
