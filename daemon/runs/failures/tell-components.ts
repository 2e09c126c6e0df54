import type { Log } from '../../audit/types.ts';
import type { ComponentEvent } from './circuits.ts';

/** Puts on record when a component is left alone, and when it works again. Nothing waits for it. */
export function tellComponents(log: Pick<Log, 'append'>): (event: ComponentEvent) => void {
  return (event) => {
    const sev = event.type === 'component.opened' ? 'warn' : 'notice';
    // A log that takes no more stops the daemon elsewhere.
    log.append({ ...event, sev }).catch(() => {});
  };
}
