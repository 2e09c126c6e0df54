import { OrchestraError } from '#contract/errors.ts';
import type { Caller } from '../../access/caller.ts';
import { asksForTools } from '../../runs/tools/tools.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'toolList' | 'toolLists' | 'toolWithdraw'>;

export function toolRoutes({ runsDeps: { tools, images, policies, log } }: RouteDeps): Part {
  return {
    toolList: async ({ query, caller }) => {
      const uid = query.uid ?? caller.actor.uid;
      assertMayRead(uid, caller);
      const { policy } = policies.byDefault();
      const growth = asksForTools(policy);
      const image = await images.resolve(log, policy);
      return tools.view(uid, { image, growth });
    },
    toolLists: ({ query, caller }) => {
      const { uid = caller.actor.uid } = query;
      if (query.uid === undefined && mayReadAll(caller)) return Promise.resolve(tools.lists());
      assertMayRead(uid, caller);
      return Promise.resolve(uid === undefined ? { lists: [] } : tools.lists(uid));
    },
    toolWithdraw: async ({ body, caller, actor }) => {
      const uid = body.uid ?? actor.uid;
      if (uid === undefined) {
        throw new OrchestraError('usage.invalid', 'Nobody knows who you are: say whose list', {
          hint: 'orchestra tools withdraw NAME --user UID',
        });
      }
      if (uid !== actor.uid && !caller.roles.has('admin')) throw denied(uid);
      await tools.withdraw({ uid, name: body.name }, actor);
      return { uid, name: body.name };
    },
  };
}

function mayReadAll({ roles }: Caller): boolean {
  return roles.has('admin') || roles.has('auditor');
}

function assertMayRead(uid: number | undefined, caller: Caller): void {
  if (uid === undefined || uid === caller.actor.uid || mayReadAll(caller)) return;
  throw denied(uid);
}

function denied(uid: number): OrchestraError {
  return new OrchestraError('access.denied', `The list of user ${uid} is not yours`, {
    hint: 'orchestra whoami',
  });
}
