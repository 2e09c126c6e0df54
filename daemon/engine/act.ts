import { OrchestraError } from '#contract/errors.ts';
import type { Outcome, RecordData, RecordType } from '#contract/records.ts';
import type { AnyEntry, Log } from '../audit/types.ts';
import { newRequestId } from '../base/ids.ts';
import type { ActContext } from './engine.ts';

export type ActType = Extract<
  RecordType,
  | 'container.create'
  | 'container.fill'
  | 'container.start'
  | 'container.release'
  | 'container.signal'
  | 'container.freeze'
  | 'container.thaw'
  | 'container.remove'
>;

export type Act<T extends ActType> = {
  type: T;
  data: RecordData<T>;
  context: ActContext;
  obj: Record<string, string>;
  /** What has to be on record with the intent, in front of it. */
  before?: readonly AnyEntry[];
};

/** What to add to the result record once the act succeeded. */
export type Addition<T extends ActType> = { data?: RecordData<T>; obj?: Record<string, string> };

/**
 * One recorded effect: the intent is durable before `work` begins, the result before its value is
 * given out, both under one request id. Where the intent cannot be recorded nothing happens.
 */
export async function act<T extends ActType, R>(
  log: Pick<Log, 'append' | 'appendAll'>,
  { type, data, context, obj, before = [] }: Act<T>,
  work: () => Promise<R>,
  addition: (result: R) => Addition<T> = () => ({}),
): Promise<R> {
  const entry = { type, req: newRequestId(), run: context.run, obj };
  const intent = { ...entry, stage: 'intent', data };
  // All or none of it, and all of it durable before the work.
  await log.appendAll([...before, intent as AnyEntry]);
  let result: R;
  try {
    result = await work();
  } catch (error) {
    await append(log, {
      ...entry,
      stage: 'result',
      outcome: outcomeOf(error),
      sev: 'warn',
      data: { ...data, reason: reasonOf(error) },
    });
    throw error;
  }
  const more = addition(result);
  await append(log, {
    ...entry,
    stage: 'result',
    obj: { ...obj, ...more.obj },
    data: more.data ?? data,
  });
  return result;
}

// `Entry` ties data to its type by a conditional type that a generic act cannot resolve; the log
// checks the data against the schema of the type again.
async function append(log: Pick<Log, 'append'>, entry: object): Promise<void> {
  await log.append(entry as Parameters<Log['append']>[0]);
}

/** When nothing answered nobody knows whether the act happened. */
function outcomeOf(error: unknown): Outcome {
  return error instanceof OrchestraError && error.code !== 'engine.unavailable'
    ? 'failed'
    : 'unknown';
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
  return `${text}${cause === '' ? '' : `: ${cause}`}`.slice(0, 512).toWellFormed();
}
