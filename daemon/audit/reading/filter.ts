import { severities } from '#contract/audit.ts';
import type { Actor, LogRecord, Outcome, Severity } from '#contract/records.ts';

/** Which records are meant. What is left out does not matter; everything that is said has to hold. */
export type RecordFilter = {
  run?: string | undefined;
  /** A type, or with `.*` at its end all types beneath. */
  type?: string | undefined;
  /** Name of the actor, its uid (`1000` or `uid:1000`), or its kind. */
  actor?: string | undefined;
  outcome?: Outcome | undefined;
  /** This or a more important one. */
  sev?: Severity | undefined;
  /** UTC milliseconds, both inclusive. */
  since?: number | undefined;
  until?: number | undefined;
  /** Letters that the line has to hold, as they are. */
  text?: string | undefined;
};

/** One meaning of a filter, for the segments here and for the index below. */
export function matches(
  { record, line }: { record: LogRecord; line: string },
  filter: RecordFilter,
): boolean {
  const { run, type, actor, outcome, sev, since, until, text } = filter;
  if (run !== undefined && record.run !== run) return false;
  if (type !== undefined && !isOfType(record.type, type)) return false;
  if (actor !== undefined && !isActor(record.actor, actor)) return false;
  if (outcome !== undefined && record.outcome !== outcome) return false;
  if (sev !== undefined && rankOf(record.sev) < rankOf(sev)) return false;
  if (since !== undefined || until !== undefined) {
    const ts = Date.parse(record.ts);
    if (!(ts >= (since ?? -Infinity) && ts <= (until ?? Infinity))) return false;
  }
  return text === undefined || line.includes(text);
}

/** The same as a condition on the columns of the index; all but the text, which only the line has. */
export function conditionsOf(filter: RecordFilter): { sql: string[]; values: (string | number)[] } {
  const sql: string[] = [];
  const values: (string | number)[] = [];
  const add = (condition: string, ...more: (string | number)[]) => {
    sql.push(condition);
    values.push(...more);
  };
  const { run, type, actor, outcome, sev, since, until } = filter;
  if (run !== undefined) add('run = ?', run);
  const beneath = type === undefined ? undefined : prefixOf(type);
  // Not LIKE, which takes letters of either case and has signs of its own.
  if (beneath !== undefined) add('type >= ? AND type < ?', beneath, `${beneath.slice(0, -1)}/`);
  else if (type !== undefined) add('type = ?', type);
  if (actor !== undefined) {
    const { uid, name } = actorIn(actor);
    if (uid !== undefined && name !== undefined) add('(uid = ? OR actor = ?)', uid, name);
    else if (uid !== undefined) add('uid = ?', uid);
    else if (isKind(actor)) add('kind = ?', actor);
    else add('actor = ?', actor);
  }
  if (outcome !== undefined) add('outcome = ?', outcome);
  if (sev !== undefined) add('sev >= ?', rankOf(sev));
  if (since !== undefined) add('ts >= ?', since);
  if (until !== undefined) add('ts <= ?', until);
  return { sql, values };
}

/** Whether anything is asked that a record could fail. */
export function isEverything(filter: RecordFilter): boolean {
  const { run, type, actor, outcome, sev, since, until, text } = filter;
  return [run, type, actor, outcome, sev, since, until, text].every((said) => said === undefined);
}

export function rankOf(sev: string): number {
  return severities.findIndex((each) => each === sev);
}

/** What an actor is called where there is room for one word. */
export function wordFor({ name = '', uid, kind }: Actor): string {
  if (name !== '') return name;
  return uid === undefined ? kind : `uid:${uid}`;
}

function isOfType(type: string, wanted: string): boolean {
  const beneath = prefixOf(wanted);
  return beneath === undefined ? type === wanted : type.startsWith(beneath);
}

/** `container.*` → `container.`. */
function prefixOf(type: string): string | undefined {
  return type.endsWith('.*') ? type.slice(0, -1) : undefined;
}

function isActor(actor: Actor, wanted: string): boolean {
  const { uid, name } = actorIn(wanted);
  if (uid !== undefined) {
    return actor.uid === uid || (name !== undefined && (actor.name ?? '') === name);
  }
  return isKind(wanted) ? actor.kind === wanted : (actor.name ?? '') === wanted;
}

/** A user may be called `1000`: then both are meant. */
function actorIn(wanted: string): { uid?: number; name?: string } {
  const [, said, digits] = /^(uid:)?(\d{1,10})$/.exec(wanted) ?? [];
  if (digits === undefined) return {};
  return { uid: Number(digits), ...(said === undefined ? { name: wanted } : {}) };
}

function isKind(wanted: string): boolean {
  return wanted === 'daemon' || wanted === 'user' || wanted === 'task';
}
