import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Role } from '#contract/access.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { RequestRow, RequestView } from '#contract/requests.ts';
import type { RouteDeps } from '#daemon/http/routes/deps.ts';
import { requestRoutes } from '#daemon/http/routes/requests.ts';
import type { RequestFacts } from '#daemon/runs/requests/state.ts';
import { Asked, askedRun } from '#test/support/asked.ts';
import { callerWith } from '#test/support/edge.ts';

let it: Asked;
let request: RequestFacts;
let routes: ReturnType<typeof requestRoutes>;

beforeEach(async () => {
  it = await Asked.open();
  request = await it.ask({ from: [['approver', 'user:eve']] });
  const vault = { nameOf: (name: string) => name };
  const runs = { find: () => ({ id: askedRun }) };
  const deps = { runs, runsDeps: { requests: it.requests, vault } };
  routes = requestRoutes(deps as unknown as RouteDeps);
});
afterEach(() => {
  it.requests.close();
});

const somebody = (roles: Role[], uid: number, user?: string) => {
  const caller = callerWith(roles, { uid, ...(user === undefined ? {} : { user }) });
  return { caller, actor: caller.actor };
};
const call = (who: object, more: object = {}) =>
  ({ ...who, param: () => request.id, query: { limit: 10, state: 'open' }, ...more }) as never;
const list = async (who: object) =>
  ((await routes.requestList(call(who))) as { items: RequestRow[] }).items.map(({ id }) => id);
const answer = async (who: object, digest: string = request.shown) =>
  routes.requestAnswer(call(who, { body: { digest, answer: 'approve' } }));

describe('to somebody who has nothing to do with it', () => {
  const stranger = somebody(['runner'], 3000, 'mallory');

  test('a request answers like one that is not there', async () => {
    const refusal = async (id: string) => {
      const asked = call(stranger, {
        param: () => id,
        body: { digest: request.shown, answer: 'approve' },
      });
      const errors = [];
      for (const route of [routes.requestShow, routes.requestAnswer]) {
        const error = await route(asked).then(
          () => undefined,
          (one: unknown) => one,
        );
        if (!(error instanceof OrchestraError)) throw new Error('it was answered');
        errors.push([error.code, error.message.replace(id, 'ID'), error.hint]);
      }
      return errors;
    };
    expect(await refusal(request.id)).toEqual(await refusal('a-nowhere000'));
  });

  test('it is in no list', async () => {
    expect(await list(stranger)).toEqual([]);
  });
});

test.each<[string, object]>([
  ['who submitted the run', somebody(['runner'], 1000)],
  ['an approver', somebody(['approver'], 2001)],
  ['somebody whom the rule names', somebody(['runner'], 3001, 'eve')],
  ['who reads all runs', somebody(['viewer'], 3002)],
])('%s finds it in the list', async (_name, who) => {
  expect(await list(who)).toEqual([request.id]);
});

test('what is asked and who may answer it is told to whoever sees it', async () => {
  const shown = (await routes.requestShow(call(somebody(['viewer'], 3002)))) as RequestView;
  expect(shown).toMatchObject({ mayAnswer: false, whyNot: 'it takes approver or user:eve' });
  expect(JSON.parse(shown.text)).toMatchObject({ kind: 'approval' });
});

test('another digest is a conflict, a role that may not is denied, the named one may', async () => {
  const [ada, viewer, eve] = [
    somebody(['approver'], 2001),
    somebody(['viewer'], 3002),
    somebody(['runner'], 3001, 'eve'),
  ];
  const stale = answer(ada, `sha256:${'0'.repeat(64)}`);
  await expect(stale).rejects.toMatchObject({ code: 'approval.stale', facts: { status: 409 } });
  await expect(answer(viewer)).rejects.toMatchObject({ code: 'access.denied' });
  expect(await answer(eve)).toMatchObject({ state: 'granted' });
  await expect(answer(ada)).rejects.toMatchObject({ code: 'approval.stale' });
  expect(await answer(eve)).toMatchObject({ state: 'granted' });
});
