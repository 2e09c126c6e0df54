import {
  type Attack,
  down,
  type Group,
  groups,
  held,
  type Seen,
  skipped,
  type TaskAttack,
  type Verdict,
} from './attack.ts';
import { OrchestraError } from '#contract/errors.ts';
import { allRefused, notTried } from './judge.ts';
import type { Field, Played } from './field.ts';

export type Outcome = {
  id: string;
  group: Group;
  title: string;
  attack: string;
  expects: string;
  outcome: 'held' | 'down' | 'skipped';
  happened: string;
  durationMs: number;
};

export type Listener = {
  group(group: Group, attacks: number): void;
  outcome(outcome: Outcome): void;
};

export type Chosen = Readonly<Record<Group, readonly Attack[]>>;

const happenedMax = 2000;

/** Makes the attacks, group after group. Attacks that are scripts share one run in each group. */
export async function runAttacks(
  field: Field,
  chosen: Chosen,
  listener: Listener,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const group of groups) {
    const attacks = chosen[group];
    if (attacks.length === 0) continue;
    listener.group(group, attacks.length);
    const scripts = attacks.filter((each) => 'script' in each);
    const done = (attack: Attack, startedAt: number, { held, happened }: Verdict): void => {
      const outcome: Outcome = {
        id: attack.id,
        group,
        title: attack.title,
        attack: attack.attack,
        expects: attack.expects,
        outcome: held === 'skipped' ? 'skipped' : held ? 'held' : 'down',
        happened: happened.slice(0, happenedMax),
        durationMs: Math.round(performance.now() - startedAt),
      };
      outcomes.push(outcome);
      listener.outcome(outcome);
    };
    if (scripts.length > 0) await runScripts(field, scripts, done);
    for (const attack of attacks) {
      if ('script' in attack) continue;
      const startedAt = performance.now();
      done(attack, startedAt, await guarded(field, async () => attack.play(field)));
    }
  }
  return outcomes;
}

type Done = (attack: Attack, startedAt: number, verdict: Verdict) => void;

async function runScripts(field: Field, attacks: readonly TaskAttack[], done: Done): Promise<void> {
  const startedAt = performance.now();
  const played = await playTogether(field, attacks);
  for (const attack of attacks) {
    if (!(played instanceof OrchestraError) && wasTried(played, attack)) {
      done(attack, startedAt, await guarded(field, () => judged(field, attack, played)));
      continue;
    }
    // Another one took the run along, or the plan was refused for one of them: by itself, then.
    const from = performance.now();
    const alone = async () => judged(field, attack, await field.play([wishOf(attack)]));
    done(attack, from, await guarded(field, alone));
  }
}

async function playTogether(
  field: Field,
  attacks: readonly TaskAttack[],
): Promise<Played | OrchestraError> {
  try {
    return await field.play(attacks.map(wishOf));
  } catch (error) {
    if (error instanceof OrchestraError && isOfOneAttack(error)) return error;
    throw error;
  }
}

function wasTried({ run, seen }: Played, attack: TaskAttack): boolean {
  const state = seen.get(taskIdOf(attack))?.task?.state;
  if (run.state === 'refused' || state === undefined) return false;
  return state !== 'skipped' && state !== 'cancelled' && state !== 'waiting';
}

async function judged(field: Field, attack: TaskAttack, played: Played): Promise<Verdict> {
  const seen = played.seen.get(taskIdOf(attack)) ?? {
    run: played.run,
    task: undefined,
    printed: '',
    answers: {},
  };
  if (Object.keys(seen.answers).length === 0) return notTried(seen);
  const found = attack.judge === undefined ? allRefused(seen) : await attack.judge(seen, field);
  if (found.held !== false || attack.hostKernel !== true) return found;
  if (!(await hasOwnKernel(field, seen))) return found;
  return held(`answered by the runtime’s own kernel, not by the host’s; ${found.happened}`);
}

/** What the receipt of the task says, which was sealed before it began. */
async function hasOwnKernel(field: Field, { run, task }: Seen): Promise<boolean> {
  const { items } = await field.client.call('auditList', {
    query: { run: run.id, type: 'sandbox.receipt', limit: 500 },
  });
  const receipt = items.find(({ record }) => record.obj?.['task'] === task?.id);
  return receipt?.record.data['kernel_of'] === 'runtime';
}

function wishOf(attack: TaskAttack) {
  const { script, files, limits, outputs } = attack;
  return {
    id: taskIdOf(attack),
    script,
    ...(files === undefined ? {} : { files }),
    ...(limits === undefined ? {} : { limits }),
    ...(outputs === undefined ? {} : { outputs }),
  };
}

function taskIdOf({ id }: TaskAttack): string {
  return id.replaceAll('.', ':');
}

/**
 * A request that is answered with an error of the product is an attack that could not be made; a
 * daemon that is gone or says that it has a bug is a wall that is down. What stops the selftest
 * itself goes on upwards.
 */
async function guarded(field: Field, play: () => Promise<Verdict> | Verdict): Promise<Verdict> {
  try {
    return await play();
  } catch (error) {
    if (field.signal.aborted) throw error;
    if (error instanceof OrchestraError) {
      const said = `${error.code}: ${error.message}`;
      if (error.code === 'daemon.unreachable') throw error;
      return error.code === 'internal.bug' ? down(said) : skipped(`could not be tried: ${said}`);
    }
    if (error instanceof DOMException) return down('no answer in time');
    throw error;
  }
}

function isOfOneAttack(error: OrchestraError): boolean {
  return error.facts.exit === 1 || error.facts.exit === 4;
}
