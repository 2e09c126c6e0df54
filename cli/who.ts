import { SubjectId } from '#contract/ids.ts';
import type { Actor } from '#contract/records.ts';

/** Who it was, by a record alone: of a subject of the vault the number of the account says more. */
export function whoOf({ name, uid, kind }: Actor): string {
  const isSubject = SubjectId.safeParse(name).success;
  if (name !== undefined && (!isSubject || uid === undefined)) return name;
  return uid === undefined ? kind : `uid:${uid}`;
}
