import type { Actor, RecordData } from '#contract/records.ts';
import type { AnyEntry } from '../../audit/types.ts';
import { toolRuleId } from '../../policy/judge.ts';
import { closed, type End } from './ending.ts';
import type { AnswerFacts, RequestFacts } from './state.ts';

/**
 * What goes on record together with the end of a request: that its program is on the list of whoever
 * asked, where it was granted for that, and that nobody has to be asked for that program any more. So
 * there is no moment, and no crash, between a grant and the list.
 */
export function endEntries(
  request: RequestFacts,
  end: End,
  about: {
    asker: Actor | undefined;
    answers: readonly AnswerFacts[];
    /** Those that are open, with who asks; this one may be among them. */
    open: readonly { request: RequestFacts; asker: Actor | undefined }[];
  },
): AnyEntry[] {
  const { grows } = request;
  const uid = about.asker?.uid;
  const entries: AnyEntry[] = [closed(request, end)];
  if (end.state !== 'granted' || grows === undefined || uid === undefined) return entries;
  const data: RecordData<'tool.allowed'> = {
    uid,
    ...grows,
    request: request.id,
    by: about.answers
      .flatMap(({ answer, by }) => (answer === 'approve' && by.uid !== undefined ? [by.uid] : []))
      .slice(0, 16),
  };
  entries.push({ type: 'tool.allowed', sev: 'notice', obj: { tool: grows.name }, data });
  const reason = `${grows.name} is on the list since ${request.id}`;
  for (const { request: other, asker } of about.open) {
    if (other === request || asker?.uid !== uid || !isForThat(other, grows)) continue;
    entries.push(closed(other, { state: 'granted', reason }));
  }
  return entries;
}

/** Nothing but this program is what it asks about. */
function isForThat(
  { grows, rules }: RequestFacts,
  { name, image, binary }: NonNullable<RequestFacts['grows']>,
): boolean {
  return (
    grows?.name === name &&
    grows.image === image &&
    grows.binary === binary &&
    rules.length > 0 &&
    rules.every(({ id }) => id === toolRuleId)
  );
}
