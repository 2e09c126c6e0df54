import type { RecordData } from '#contract/records.ts';
import type { AnyEntry } from '../../audit/types.ts';
import { cutText } from '../../base/text.ts';
import type { RequestFacts } from './state.ts';

export type End = { state: RecordData<'request.closed'>['state']; reason?: string };

export function closed({ id, run, task }: RequestFacts, { state, reason }: End): AnyEntry {
  const isGood = state === 'granted' || state === 'answered' || state === 'withdrawn';
  return {
    type: 'request.closed',
    run,
    obj: { task },
    outcome: isGood ? 'ok' : 'denied',
    sev: isGood ? 'notice' : 'warn',
    data: {
      request: id,
      state,
      ...(reason === undefined ? {} : { reason: cutText(reason, 512) }),
    },
  };
}
