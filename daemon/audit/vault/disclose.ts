import { OrchestraError } from '#contract/errors.ts';
import { SubjectId } from '#contract/ids.ts';
import type { Actor, LogRecord } from '#contract/records.ts';
import { disclosureFormat, type Disclosure } from '#contract/vault.ts';
import type { Log } from '../types.ts';
import type { Vault } from './vault.ts';

const suffix = '_commitment';

/**
 * What the commitment in a record stands for. That somebody asked is on record before he is told.
 * Throws `data.unknown` where there is none, `data.erased` where nobody can say any more.
 */
export async function disclose(
  { log, vault }: { log: Pick<Log, 'append' | 'origin'>; vault: Vault },
  { seq, data }: LogRecord,
  { actor, reason }: { actor: Actor; reason?: string | undefined },
): Promise<Disclosure> {
  const key = Object.keys(data).find((each) => each.endsWith(suffix));
  const commitment = key === undefined ? undefined : data[key];
  const subject = SubjectId.safeParse(data['subject']);
  if (key === undefined || typeof commitment !== 'string' || !subject.success) {
    throw new OrchestraError(
      'data.unknown',
      `Record ${seq} says what it says: it commits to nothing`,
      {
        hint: `orchestra audit show ${seq}`,
      },
    );
  }
  const said = { commitment, subject: subject.data };
  const opened = await vault.find(said);
  if (opened === undefined) {
    const why = vault.isErased(subject.data) ? 'was erased' : 'is not in the vault';
    throw new OrchestraError('data.erased', `What record ${seq} stands for ${why}`, {
      hint: `orchestra audit list --type data.erased`,
    });
  }
  const field = key.slice(0, -suffix.length);
  await log.append({
    type: 'data.disclosed',
    actor,
    sev: 'notice',
    data: { of: seq, field, ...said, ...(reason === undefined ? {} : { reason }) },
  });
  return {
    format: disclosureFormat,
    origin: log.origin,
    seq,
    field,
    ...said,
    salt: opened.salt.toString('hex'),
    value: opened.value,
  };
}
