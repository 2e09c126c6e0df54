import { OrchestraError } from '#contract/errors.ts';
import { ownerOf, type Caller } from '../../access/caller.ts';
import { learnedOf } from '../../planner/learning/advice.ts';
import { explainPlan } from '../../runs/explain-plan.ts';
import { forgetLearned, rateRun } from '../../runs/rate.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'runRate' | 'planExplain' | 'learnedShow' | 'learnedForget'>;

export function learningRoutes({ runs, runsDeps }: RouteDeps): Part {
  return {
    runRate: ({ param, body, actor }) => rateRun(runsDeps, runs.find(param('id')), body, actor),
    planExplain: ({ param }) => explainPlan(runsDeps, runs.find(param('id'))),
    learnedShow: ({ caller }) =>
      Promise.resolve(learnedOf(runsDeps.learning, readsAll(caller) ? undefined : ownIn(caller))),
    learnedForget: async ({ body, actor, caller }) => {
      if (body.everybody && !caller.roles.has('admin')) {
        throw new OrchestraError('access.denied', 'What everybody learned is for an admin', {
          hint: 'without --everybody: what was learned from your own runs',
        });
      }
      return { beforeSeq: await forgetLearned(runsDeps, body, actor) };
    },
  };
}

function ownIn({ actor }: Caller): string {
  return ownerOf(actor);
}

function readsAll({ roles }: Caller): boolean {
  return roles.has('admin') || roles.has('viewer') || roles.has('auditor');
}
