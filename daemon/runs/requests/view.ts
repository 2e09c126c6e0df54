import { OrchestraError } from '#contract/errors.ts';
import type { RequestRow, RequestView, ShownApproval } from '#contract/requests.ts';
import type { Vault } from '../../audit/vault/vault.ts';
import type { Answerer } from './entitled.ts';
import type { Requests } from './requests.ts';
import type { RequestFacts, RequestStates } from './state.ts';

type Names = Pick<Vault, 'nameOf'>;

export function requestRow(states: RequestStates, vault: Names, request: RequestFacts): RequestRow {
  const {
    seq: _seq,
    question,
    answers,
    plan: _p,
    policy: _o,
    inputs: _i,
    about: _a,
    ...facts
  } = request;
  return {
    ...facts,
    ...(question === undefined ? {} : { question: question.name }),
    rules: facts.rules.map((rule) => ({ ...rule })),
    askedBy: whoWas(vault, states.askerOf(request.run)),
    answers: answers.map(({ answer, by, at, reason }) => ({
      answer,
      by: whoWas(vault, by),
      ...(by.uid === undefined ? {} : { uid: by.uid }),
      at,
      ...(reason === undefined ? {} : { reason }),
    })),
  };
}

/** With the exact text, and what was granted for the same task before. */
export async function requestView(
  requests: Requests,
  vault: Names,
  request: RequestFacts,
  answerer: Answerer,
): Promise<RequestView> {
  const whyNot = requests.whyNot(request, answerer);
  const before = request.kind === 'approval' ? await beforeIt(requests, request) : undefined;
  return {
    ...requestRow(requests.states, vault, request),
    text: await requests.textOf(request.shown),
    ...(before === undefined ? {} : { before }),
    mayAnswer: whyNot === undefined && request.state === 'open',
    ...(whyNot === undefined ? {} : { whyNot }),
  };
}

const lookedAtMax = 200;

/** The last one that was granted for the same task and tool in an earlier run, as far as it is kept. */
async function beforeIt(requests: Requests, request: RequestFacts): Promise<RequestView['before']> {
  const earlier = requests.states
    .all()
    .filter(
      (one) =>
        one.state === 'granted' &&
        one.seq < request.seq &&
        one.run !== request.run &&
        one.task === request.task &&
        one.tool === request.tool,
    )
    .slice(-lookedAtMax)
    .toReversed();
  for (const one of earlier) {
    const text = await requests.textOf(one.shown).catch((error: unknown) => {
      if (error instanceof OrchestraError && error.code.startsWith('blob.')) return undefined;
      throw error;
    });
    if (text === undefined || !isOfTask(text, request)) continue;
    return { request: one.id, run: one.run, at: one.closedAt ?? one.openedAt, text };
  }
  return undefined;
}

function isOfTask(text: string, { task, tool }: RequestFacts): boolean {
  const shown = JSON.parse(text) as ShownApproval;
  return shown.task.id === task && shown.task.tool === tool;
}

function whoWas(vault: Names, actor: ReturnType<RequestStates['askerOf']>): string {
  if (actor?.name !== undefined) return vault.nameOf(actor.name);
  return actor?.uid === undefined ? 'unknown' : `uid:${actor.uid}`;
}
