import { z } from 'zod';

const Ms = z.number().int().min(0);

/** What a plan would take if it ran now, by what the cache has and by what tasks like its own took. */
export const PlanForecast = z.strictObject({
  tasks: z.array(
    z.strictObject({
      id: z.string(),
      /** Its result is there already. What waits for a task that has to run never counts as there. */
      cached: z.boolean(),
      /** Half of the like took no longer; absent where nothing of the kind ever ran here. */
      p50_ms: Ms.optional(),
      /** Nine of ten took no longer. */
      p90_ms: Ms.optional(),
    }),
  ),
  cached: z.number().int().min(0),
  /** From the first start to the last end; absent where nothing at all is known. */
  makespan_ms: Ms.optional(),
});
export type PlanForecast = z.infer<typeof PlanForecast>;
