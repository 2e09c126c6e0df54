import type { ActContext, Engine } from '../engine/engine.ts';
import type { TaskClock } from './task-clock.ts';

/** What may be done to a task while it runs. Both may be repeated, and come after its end. */
export type SandboxControl = {
  /** All its processes stand still, and so do its clocks. Rejects where the engine cannot. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
};

/** One act after the other, in the order of the calls; none where it is so already. */
export function controlOf(
  engine: Pick<Engine, 'freeze' | 'thaw'>,
  of: { id: string; context: ActContext; time: TaskClock; isFrozen: boolean },
): SandboxControl & { over(): void } {
  const { id, time } = of;
  const context = { ...of.context, why: 'pause' };
  // Perhaps, after an answer that was lost: then thawing is tried all the same.
  let mayBeFrozen = of.isFrozen;
  let isStill = of.isFrozen;
  let isOver = false;
  let last: Promise<void> = Promise.resolve();
  const inTurn = async (act: () => Promise<void>): Promise<void> => {
    const turn = last.then(async () => {
      if (!isOver) await act();
    });
    last = turn.catch(() => {});
    return turn;
  };
  return {
    freeze: async () =>
      inTurn(async () => {
        if (isStill) return;
        mayBeFrozen = true;
        await engine.freeze(id, context);
        isStill = true;
        time.stop();
      }),
    thaw: async () =>
      inTurn(async () => {
        if (!mayBeFrozen) return;
        await engine.thaw(id, context);
        mayBeFrozen = false;
        isStill = false;
        time.go();
      }),
    over: () => {
      isOver = true;
    },
  };
}
