import { z } from 'zod';

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

export const everyRole: readonly Role[] = roles;
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
