import type { Caller } from '../../access/caller.ts';
import { ownerOf } from '../../access/caller.ts';
import type { Answerer } from '../../runs/requests/entitled.ts';
import { unknownRequest } from '../../runs/requests/requests.ts';
import type { RequestFacts } from '../../runs/requests/state.ts';
import { requestRow, requestView } from '../../runs/requests/view.ts';
import type { Routes } from '../app.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<Routes, 'requestList' | 'requestShow' | 'requestAnswer'>;

export function requestRoutes({ runs, runsDeps }: RouteDeps): Part {
  const { requests, vault } = runsDeps;
  const { states } = requests;
  /** One that he does not see is to him as if it did not exist. */
  const seen = (id: string, caller: Caller): RequestFacts => {
    const request = states.find(id);
    if (request === undefined || !sees(request, caller)) throw unknownRequest(id);
    return request;
  };
  const sees = (request: RequestFacts, caller: Caller) =>
    caller.sees(ownedBy(request)) ||
    requests.whyNot(request, answererOf(request, caller)) === undefined;
  const ownedBy = ({ run, state, kind }: RequestFacts) => {
    const asker = states.askerOf(run);
    const owner = asker === undefined ? '' : ownerOf(asker);
    return { owner, isAsking: state === 'open' && kind === 'approval' };
  };
  const answererOf = (request: RequestFacts, caller: Caller): Answerer => ({
    actor: caller.actor,
    roles: caller.roles,
    user: caller.identity.user,
    groups: caller.identity.groups,
    isOwner: isOwn(request, caller),
  });
  const isOwn = ({ run }: RequestFacts, { actor }: Caller) => {
    const asker = states.askerOf(run);
    return asker !== undefined && ownerOf(asker) === ownerOf(actor);
  };
  return {
    requestList: async ({ query, caller }) => {
      const all = query.state === 'open' ? states.open() : states.all();
      const run = query.run === undefined ? undefined : runs.find(query.run, caller).id;
      const items = all
        .filter((request) => (run === undefined || request.run === run) && sees(request, caller))
        .toReversed()
        .slice(0, query.limit);
      return { items: items.map((request) => requestRow(states, vault, request)) };
    },
    requestShow: async ({ param, caller }) => {
      const request = seen(param('id'), caller);
      return requestView(requests, vault, request, answererOf(request, caller));
    },
    requestAnswer: async ({ param, body, caller }) => {
      const request = seen(param('id'), caller);
      const answered = await requests.answer(request.id, body, answererOf(request, caller));
      return requestRow(states, vault, answered);
    },
  };
}
