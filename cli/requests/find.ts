import { OrchestraError } from '#contract/errors.ts';
import type { RequestRow, RequestView } from '#contract/requests.ts';
import type { Client } from '../client/client.ts';

/** The request that was named: by its id, or by its run and its task or question. */
export async function findRequest(
  client: Client,
  first: string,
  second: string | undefined,
): Promise<RequestView> {
  if (second === undefined && first.startsWith('a-')) {
    return client.call('requestShow', { params: { id: first } });
  }
  const { id: run } = await client.call('runShow', { params: { id: first } });
  const { items } = await client.call('requestList', { query: { run, limit: 500 } });
  const meant = items.filter((row) => second === undefined || isNamed(row, second));
  const [one] = meant;
  if (one !== undefined && meant.length === 1) {
    return client.call('requestShow', { params: { id: one.id } });
  }
  const what = second === undefined ? run : `${second} of ${run}`;
  throw new OrchestraError(
    'request.unknown',
    one === undefined ? `Nothing is asked about ${what} now` : `${what} asks ${meant.length} times`,
    {
      hint: one === undefined ? 'orchestra approvals' : `name one: ${meant.map(nameOf).join(', ')}`,
    },
  );
}

function isNamed({ task, question }: RequestRow, name: string): boolean {
  return question === undefined
    ? task === name
    : question === name || `${task}/${question}` === name;
}

function nameOf({ task, question }: RequestRow): string {
  return question ?? task;
}

/** The command that answers it, as a person would type it. */
export function answerCommand({ run, task, kind, question }: RequestRow): string {
  return kind === 'approval'
    ? `orchestra approve ${run} ${task}`
    : `orchestra answer ${run} ${question ?? ''}`;
}
