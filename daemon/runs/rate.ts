import { OrchestraError } from '#contract/errors.ts';
import type { ForgetLearned, RateRun, RatedRun } from '#contract/learning.ts';
import type { Actor } from '#contract/records.ts';
import type { z } from 'zod';
import { ownerOf } from '../access/caller.ts';
import type { RunsDeps } from './deps.ts';
import type { RunFacts } from './state.ts';

/** What somebody thinks of a run that is over; he may say it anew. Throws `run.conflict`. */
export async function rateRun(
  { log, vault, states }: Pick<RunsDeps, 'log' | 'vault' | 'states'>,
  { id, closedAt, plan }: RunFacts,
  { rating, note }: RateRun,
  actor: Actor,
): Promise<z.infer<typeof RatedRun>> {
  if (closedAt === undefined || plan === undefined) {
    const why = closedAt === undefined ? 'is not over yet' : 'never had a plan';
    throw new OrchestraError('run.conflict', `${id} ${why}: there is nothing to rate`);
  }
  // Durable before the record that stands on it.
  const kept = note === undefined ? undefined : await vault.keep(actor, note);
  await log.append({
    type: 'run.rated',
    run: id,
    actor,
    data: {
      rating,
      ...(kept === undefined ? {} : { note_commitment: kept.commitment, subject: kept.subject }),
    },
  });
  const all = [...(states.find(id)?.ratings.values() ?? [])];
  const up = all.filter((one) => one.rating === 'up').length;
  return { id, up, down: all.length - up };
}

/** From here on, what came before teaches nothing: of one person or all, of one family or all. */
export async function forgetLearned(
  { log, durations, demands }: Pick<RunsDeps, 'log' | 'durations' | 'demands'>,
  { family, everybody }: ForgetLearned,
  actor: Actor,
): Promise<number> {
  const beforeSeq = log.size;
  await log.append({
    type: 'learning.forgotten',
    actor,
    data: {
      before_seq: beforeSeq,
      ...(family === undefined ? {} : { family }),
      ...(everybody ? {} : { owner: ownerOf(actor) }),
    },
  });
  if (everybody && family === undefined) {
    durations.clear();
    demands.clear();
  }
  return beforeSeq;
}
