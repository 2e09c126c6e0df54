import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';

/** What Podman says about a container that is over. */
export const Ended = z.object({
  Created: z.string(),
  Config: z.object({ Timeout: z.number().default(0) }),
  State: z.object({
    Status: z.enum(['exited', 'stopped']),
    ExitCode: z.int().min(-1).max(255),
    OOMKilled: z.boolean(),
    StartedAt: z.string(),
    FinishedAt: z.string(),
  }),
});
export type Ended = z.infer<typeof Ended>;

const killed = 137;

/**
 * Of a container that it killed at the end of its time, Podman's monitor says -1; and so does Podman
 * where the monitor said nothing, which is no way to end.
 */
export function exitCodeOf({ Created, Config, State }: Ended): number {
  if (State.ExitCode >= 0) return State.ExitCode;
  const ms = Date.parse(State.FinishedAt) - Date.parse(Created);
  if (Config.Timeout > 0 && ms >= Config.Timeout * 1000) return killed;
  throw new OrchestraError('engine.failed', 'Podman does not know how the sandbox ended');
}
