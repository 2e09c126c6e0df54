import { z } from 'zod';
import { Size } from './units.ts';

/**
 * What somebody may be here. A caller has a set of roles; `admin` stands for all of them.
 *
 * - `viewer` reads all runs
 * - `runner` submits runs; sees and steers his own
 * - `approver` sees open requests and the runs they belong to, and answers them
 * - `auditor` reads the log, its evidence and all runs
 * - `admin` may do everything
 */
export const roles = ['viewer', 'runner', 'approver', 'auditor', 'admin'] as const;
export const Role = z.enum(roles);
export type Role = z.infer<typeof Role>;

/** Who may call an endpoint: `anyone` is whoever can open the socket, with no role at all. */
export type Callers = readonly Role[] | 'anyone';

export const everyRole: readonly Role[] = [...roles];
/** Those who read runs; of a `runner` and an `approver` only some, see `Caller.sees`. */
export const readers: readonly Role[] = ['viewer', 'runner', 'approver', 'auditor'];

/** Whom a line of `access:` or `quotas:` is about. */
export const SubjectName = z
  .string()
  .regex(
    /^(?:anyone|user:[^\s:]{1,64}|group:[^\s:]{1,64}|uid:\d{1,10}|gid:\d{1,10})$/,
    'must be user:NAME, group:NAME, uid:N, gid:N or anyone',
  );

/** The section `access` of the configuration. */
export const AccessSection = z.strictObject({
  viewer: z.array(SubjectName).max(256).optional(),
  runner: z.array(SubjectName).max(256).optional(),
  approver: z.array(SubjectName).max(256).optional(),
  auditor: z.array(SubjectName).max(256).optional(),
  admin: z.array(SubjectName).max(256).optional(),
});

const most = z.number().int().min(0).max(1_000_000_000);

/** How much somebody may use. What is left out has no end. */
export const Quota = z.strictObject({
  /** Runs of his that are open at once. */
  open_runs: most.optional(),
  /** From midnight to midnight, UTC. */
  runs_per_day: most.optional(),
  /** Attempts that began; what was taken from an earlier run does not count. */
  tasks_per_day: most.optional(),
  /** Processor time of what ended; what runs counts when it ends. */
  cpu_minutes_per_day: most.optional(),
  /** What his runs hold: their workspaces, what their tasks wrote and printed. */
  disk: Size.optional(),
});
export type Quota = z.infer<typeof Quota>;
export const quotaNames = [
  'open_runs',
  'runs_per_day',
  'tasks_per_day',
  'cpu_minutes_per_day',
  'disk',
] as const;
export type QuotaName = (typeof quotaNames)[number];

/**
 * The section `quotas`: the first of `users` that is about somebody says what there is for him; what
 * it leaves out, the most generous of his roles; what those leave out, `default`, except of an admin.
 */
export const QuotasSection = z.strictObject({
  default: Quota.optional(),
  roles: z.partialRecord(Role, Quota).optional(),
  users: z.record(SubjectName, Quota).optional(),
});
export type QuotasSection = z.infer<typeof QuotasSection>;

/** Of one quota: how much is used, and how much there is by which line. */
export const QuotaUse = z.strictObject({
  quota: z.enum(quotaNames),
  used: z.number(),
  allowed: z.number().optional(),
  by: z.string().optional(),
});
export type QuotaUse = z.infer<typeof QuotaUse>;

export const WhoAmI = z.strictObject({
  auth: z.string(),
  /** Why a stronger proof is not to be had, where it is not. */
  missing: z.string().optional(),
  uid: z.number().int().optional(),
  user: z.string().optional(),
  groups: z.array(z.string()),
  roles: z.array(z.strictObject({ role: Role, by: z.string() })),
  token: z.string().optional(),
  quotas: z.array(QuotaUse),
});
export type WhoAmI = z.infer<typeof WhoAmI>;

export const UsageQuery = z.object({ user: z.string().min(1).max(80).optional() });
/** What somebody used; of a day, only this one. */
export const UsageRow = z.strictObject({
  /** `uid:N`, or what else tells him from others. */
  owner: z.string(),
  user: z.string().optional(),
  day: z.string(),
  open_runs: z.number().int(),
  runs: z.number().int(),
  tasks: z.number().int(),
  cpu_ms: z.number().int(),
  disk_bytes: z.number().int(),
  quotas: z.array(QuotaUse),
});
export type UsageRow = z.infer<typeof UsageRow>;
