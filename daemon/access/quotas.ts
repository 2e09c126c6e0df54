import { OrchestraError } from '#contract/errors.ts';
import {
  quotaNames,
  type Quota,
  type QuotaName,
  type QuotasSection,
  type QuotaUse,
} from '#contract/access.ts';
import type { Actor } from '#contract/records.ts';
import { formatDuration, formatSize } from '#contract/units.ts';
import type { Accounts } from './accounts.ts';
import { ownerOf } from './caller.ts';
import type { Refusals } from './refusals.ts';
import { coverage } from './role-map.ts';
import type { Usage, Used } from './usage.ts';

export type QuotasOptions = {
  settings: QuotasSection | undefined;
  accounts: Accounts;
  usage: Usage;
  refusals: Pick<Refusals, 'record'>;
  now(): number;
};

type Limit = { allowed: number; by: string };
type UsedUp = { quota: QuotaName; used: number; limit: Limit };
type UserLine = { by: string; quota: Quota; covers: Awaited<ReturnType<typeof coverage>> };

/** What is asked about each attempt of a task; a run is asked about everything. */
const ofTasks: readonly QuotaName[] = ['tasks_per_day', 'cpu_minutes_per_day', 'disk'];

/** How much of what there is for somebody is left. Nothing is kept here but the settings. */
export class Quotas {
  readonly #options: QuotasOptions;
  readonly #users: readonly UserLine[];
  /** Let in, and not on record yet: of each owner how many runs. */
  readonly #coming = new Map<string, number>();

  private constructor(options: QuotasOptions, users: readonly UserLine[]) {
    this.#options = options;
    this.#users = users;
  }

  /** Throws `config.invalid` where a line names somebody whom this machine does not have. */
  static async open(options: QuotasOptions): Promise<Quotas> {
    const users = Object.entries(options.settings?.users ?? {}).map(async ([subject, quota]) => ({
      by: `quotas.users.${subject}`,
      quota,
      covers: await coverage(subject, options.accounts),
    }));
    return new Quotas(options, await Promise.all(users));
  }

  /** Lets a run in, or throws `quota.exceeded`. It counts until it is on record: dispose then. */
  async admitRun(actor: Actor): Promise<Disposable> {
    const owner = ownerOf(actor);
    const full = this.#usedUp(actor, quotaNames);
    if (full !== undefined) return this.#refuse(actor, full);
    this.#coming.set(owner, (this.#coming.get(owner) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#coming.get(owner) ?? 1) - 1;
        if (left > 0) this.#coming.set(owner, left);
        else this.#coming.delete(owner);
      },
    };
  }

  /**
   * The same for an attempt of a task of somebody's run. Those that begin in the same moment see each
   * other only once they are on record: as many too many may begin as run at once.
   */
  async assertTask(actor: Actor): Promise<void> {
    const full = this.#usedUp(actor, ofTasks);
    if (full !== undefined) await this.#refuse(actor, full);
  }

  /** Every quota with what is used of it, for people to read. */
  view(actor: Pick<Actor, 'kind' | 'uid' | 'auth' | 'groups' | 'gid' | 'roles'>): QuotaUse[] {
    const used = this.#used(ownerOf(actor));
    return quotaNames.map((quota) => ({
      quota,
      used: inUnits(quota, used),
      ...this.#limit(quota, actor),
    }));
  }

  /** Looks without waiting for anything: whoever comes next has to see what this one takes. */
  #usedUp(actor: Actor, quotas: readonly QuotaName[]): UsedUp | undefined {
    const used = this.#used(ownerOf(actor));
    for (const quota of quotas) {
      const limit = this.#limit(quota, actor);
      const now = inUnits(quota, used);
      if (limit !== undefined && now >= limit.allowed) return { quota, used: now, limit };
    }
    return undefined;
  }

  async #refuse(actor: Actor, { quota, used, limit }: UsedUp): Promise<never> {
    const of = ownerOf(actor);
    await this.#options.refusals.record(of, {
      type: 'quota.refused',
      outcome: 'denied',
      sev: 'notice',
      actor,
      data: { quota, of, used: Math.round(used), allowed: limit.allowed },
    });
    throw this.#exceeded(quota, used, limit);
  }

  #used(owner: string): Used {
    const { usage } = this.#options;
    const used = usage.of(owner, new Date(this.#options.now()).toISOString().slice(0, 10));
    const coming = this.#coming.get(owner) ?? 0;
    return { ...used, openRuns: used.openRuns + coming, runs: used.runs + coming };
  }

  #limit(
    quota: QuotaName,
    { uid, gid, groups = [], roles = [] }: Pick<Actor, 'uid' | 'gid' | 'groups' | 'roles'>,
  ): Limit | undefined {
    const { settings } = this.#options;
    const gids = gid === undefined ? groups : [gid, ...groups];
    const who = { gids, ...(uid === undefined ? {} : { uid }) };
    const own = this.#users.find((line) => line.covers(who));
    const said = own?.quota[quota];
    if (own !== undefined && said !== undefined) return { allowed: said, by: own.by };
    const byRole = roles.flatMap((role): Limit[] => {
      const allowed = settings?.roles?.[role as keyof typeof settings.roles]?.[quota];
      return allowed === undefined ? [] : [{ allowed, by: `quotas.roles.${role}` }];
    });
    const [most] = byRole.toSorted((a, b) => b.allowed - a.allowed);
    if (most !== undefined) return most;
    const rest = settings?.default?.[quota];
    if (rest === undefined || roles.includes('admin')) return undefined;
    return { allowed: rest, by: 'quotas.default' };
  }

  #exceeded(quota: QuotaName, used: number, { allowed, by }: Limit): OrchestraError {
    const words: Record<QuotaName, string> = {
      open_runs: `${used} of your runs are open, and ${allowed} may be`,
      runs_per_day: `you submitted ${used} runs today, and ${allowed} are allowed`,
      tasks_per_day: `${used} tasks of yours began today, and ${allowed} are allowed`,
      cpu_minutes_per_day: `your tasks used ${Math.floor(used)} minutes of processor time today, and ${allowed} are allowed`,
      disk: `your runs hold ${formatSize(used)} on the disk, and ${formatSize(allowed)} are allowed`,
    };
    return new OrchestraError('quota.exceeded', `The quota is used up: ${words[quota]} (${by})`, {
      hint: this.#frees(quota),
    });
  }

  #frees(quota: QuotaName): string {
    if (quota === 'open_runs') return 'when one of them ends: orchestra runs';
    if (quota === 'disk') return 'an admin frees it: orchestra prune';
    const now = new Date(this.#options.now());
    const midnight = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1);
    return `again at midnight UTC, in ${formatDuration(midnight - now.getTime())}`;
  }
}

function inUnits(quota: QuotaName, used: Used): number {
  const all: Record<QuotaName, number> = {
    open_runs: used.openRuns,
    runs_per_day: used.runs,
    tasks_per_day: used.tasks,
    cpu_minutes_per_day: used.cpuMs / 60_000,
    disk: used.diskBytes,
  };
  return all[quota];
}
