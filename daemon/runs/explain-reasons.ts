import type { TaskReceipt } from '#contract/explain.ts';
import type { AnyRecord } from '#contract/records.ts';
import { isRuleName, ruleRemedies } from '../policy/remedies.ts';
import type { RunFacts, TaskFacts } from './state.ts';

type Reason = TaskReceipt['reasons'][number];

/** Why a task had no sandbox, or why what it had came to its end: what is on record, every word. */
export function reasonsFor(of: {
  run: RunFacts;
  task: string;
  facts: TaskFacts;
  records: readonly AnyRecord[];
  isPlanned: boolean;
}): Reason[] {
  const { run, task, facts, records } = of;
  const told = records.flatMap(reasonsIn);
  if (told.length > 0) return told;
  if (!of.isPlanned) {
    // Of a plan that was refused as a whole: what was said of this task, else all of it.
    const own = run.reasons.filter((reason) => reason.startsWith(`${task}: `));
    return (own.length > 0 ? own : run.reasons).map(asReason);
  }
  if (facts.state === 'waiting') return [{ message: 'it has not begun yet' }];
  if (facts.reason === undefined || facts.reason === '') return [];
  return [{ message: facts.reason }];
}

function reasonsIn(record: AnyRecord): Reason[] {
  switch (record.type) {
    case 'policy.decided':
      return record.data.decision === 'deny' ? record.data.reasons.map(asReason) : [];
    case 'container.settings.mismatch':
      return record.data.differences.map((message) => ({
        rule: 'comparison',
        message,
        change: 'the engine did not make what it was asked for: orchestra doctor',
      }));
    case 'task.skipped':
      return [{ message: `skipped: ${record.data.reason}` }];
    case 'sandbox.violation':
      return [{ rule: record.data.rule, message: `${record.data.kind}: ${record.data.evidence}` }];
    default:
      return [];
  }
}

/** `rule: message` as a decision says it, `task: message (rule)` as the review of a plan does. */
function asReason(text: string): Reason {
  const [first = '', ...rest] = text.split(': ');
  if (isRuleName(first)) {
    return { rule: first, message: rest.join(': '), change: ruleRemedies[first] };
  }
  if (/^[a-z][a-z0-9-]{0,62}\/[a-z][a-z0-9-]{0,62}$/.test(first)) {
    const change = `ask whoever keeps the policy: orchestra policy show ${first.split('/', 1)[0]}`;
    return { rule: first, message: rest.join(': '), change };
  }
  if (first === 'floor') {
    return { rule: first, message: rest.join(': '), change: 'nothing: no policy lifts the floor' };
  }
  const rule = /\(([\w/-]{1,128})\)$/.exec(text)?.[1];
  if (rule === undefined) return { message: text };
  return { rule, message: text, ...(isRuleName(rule) ? { change: ruleRemedies[rule] } : {}) };
}
