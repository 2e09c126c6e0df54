import { triedLine, type TriedPlanner } from '#contract/planning.ts';
import { refusalLines, refusedShape, revisedShape, revisionSentence } from '#contract/replan.ts';
import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';
import { formatDuration } from '#contract/units.ts';
import { z } from 'zod';
import { safe } from '../terminal/clean.ts';
import { whoOf } from '../who.ts';

const Revised = z.object(revisedShape);
const Refused = z.object(refusedShape);

type Paused = NonNullable<RunView['paused']>;

/** Who paused a run, how, and since when; the reason where it says more than that somebody asked. */
export function pausedWords(paused: Paused, nowMs: number): string {
  const since = formatDuration(Math.max(0, nowMs - Date.parse(paused.since)));
  return `${paused.kind === 'freeze' ? 'frozen' : 'paused'} by ${safe(paused.by)} for ${since}${reasonWords(paused.reason)}`;
}

/** A line worth keeping for what happened to a run as a whole, when it is such a record. */
export function runLine({ type, data, actor, run }: LogRecord): string | undefined {
  const who = safe(whoOf(actor));
  const id = run ?? 'RUN';
  switch (type) {
    case 'run.pause.requested': {
      const what =
        data['kind'] === 'freeze'
          ? 'frozen: what runs stands still'
          : 'paused: what runs may finish, nothing new starts';
      return `${what} (${who}${reasonWords(data['reason'])}); orchestra resume ${id} goes on`;
    }
    case 'run.unpaused':
      return `goes on (${who})`;
    case 'run.recovered': {
      const [done, adopted, lost] = ['done', 'adopted', 'lost'].map((key) => count(data[key]));
      return `the daemon was started again: ${done} done, ${adopted} still at work, ${lost} lost and tried again`;
    }
    case 'plan.made':
      return bewareLine(data['warned']);
    case 'planner.asked': {
      const [planner, model, host] = ['planner', 'model', 'host'].map((key) => word(data[key]));
      return count(data['round']) > 1
        ? `plan: asking ${planner} once more`
        : `plan: asking ${planner} (${model} at ${host})`;
    }
    case 'planner.answered':
      return `plan: ${safe(triedLine(triedIn(data)))}`;
    case 'plan.revised': {
      const revised = Revised.safeParse(data);
      return revised.success ? safe(revisionSentence(revised.data)) : 'the plan was changed';
    }
    case 'replan.refused': {
      const refused = Refused.safeParse(data);
      return refused.success ? safe(refusalLines(refused.data)[0] ?? '') : undefined;
    }
    case 'component.opened':
      return `${safe(String(data['component']))} failed ${count(data['failures'])} times in a row: tasks wait for it`;
    case 'component.closed':
      return `${safe(String(data['component']))} answers again`;
    default:
      return undefined;
  }
}

function bewareLine(warned: unknown): string | undefined {
  const said = Array.isArray(warned) ? warned.map(word).filter((one) => one !== '') : [];
  const [first] = said;
  if (first === undefined) return undefined;
  return `beware: ${first}${said.length === 1 ? '' : `; ${said.length - 1} more: orchestra show`}`;
}

function reasonWords(reason: unknown): string {
  return typeof reason !== 'string' || reason === '' || reason === 'asked by the user'
    ? ''
    : `: ${safe(reason)}`;
}

function triedIn(data: LogRecord['data']): TriedPlanner {
  return {
    planner: word(data['planner']),
    code: word(data['code']),
    ms: count(data['ms']),
    rounds: count(data['rounds']),
    inputTokens: count(data['input_tokens']),
    outputTokens: count(data['output_tokens']),
    ...(data['cost_micro'] === undefined ? {} : { costMicro: count(data['cost_micro']) }),
  };
}

function word(value: unknown): string {
  return typeof value === 'string' ? safe(value) : '';
}

function count(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
