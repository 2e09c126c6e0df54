import { channel } from 'node:diagnostics_channel';

/**
 * Places where a test lets the daemon die, in the order in which a run comes by them. Each stands
 * between two steps of which one could be done and the other not.
 */
export const failpoints = [
  'before-blob-rename',
  'after-blob-rename',
  'before-tile-rename',
  'after-tile-rename',
  'after-run-submitted',
  'after-run-accepted',
  'after-package-fetched',
  'before-request-opened',
  'after-request-opened',
  'before-request-answered',
  'after-request-answered',
  'before-task-started',
  'after-task-started',
  'after-container-create',
  'after-container-start',
  'before-container-release',
  'after-container-let-go',
  'after-container-release',
  'before-container-exited',
  'after-container-exited',
  'after-artifacts-collected',
  'before-layer-manifest',
  'before-layer-link',
  'after-layer-link',
  'before-task-finished',
  'after-task-finished',
  'before-plan-revised',
  'after-plan-revised',
  'before-checkpoint-synced',
  'after-checkpoint-signed',
  'after-key-rotated',
  'before-checkpoint',
  'after-checkpoint',
  'before-run-closed',
  'after-run-closed',
  // On the way back, where an earlier daemon left a run open.
  'before-attempt-adopted',
  'after-attempt-adopted',
  'after-attempt-lost',
  'before-run-recovered',
  'after-run-recovered',
] as const;
export type Failpoint = (typeof failpoints)[number];

const passed = channel('orchestra.failpoint');

/** Does nothing at all, unless `armFailpoints` was told of this one when the process began. */
export function failpoint(name: Failpoint): void {
  if (passed.hasSubscribers) passed.publish(name);
}

/**
 * Ends this process with SIGKILL when it comes by the point that `setting` names, `NAME`, or for the
 * third time with `NAME:3`. The setting is the variable ORCHESTRA_FAILPOINTS of the environment that
 * the daemon was started with and nothing else: no flag, no settings file, no request and no plan
 * leads here, so that whoever can arm a point could have killed the daemon anyway. Each thread counts
 * for itself. Throws where there is no such point: a test of nothing would look like a success.
 */
export function armFailpoints(setting: string | undefined): void {
  if (setting === undefined || setting === '') return;
  const [name = '', count = '1'] = setting.split(':');
  const at = failpoints.find((each) => each === name);
  if (at === undefined || !/^[1-9][0-9]{0,5}$/.test(count)) {
    throw new TypeError(`ORCHESTRA_FAILPOINTS: there is no failpoint ${setting}`);
  }
  let left = Number(count);
  passed.subscribe((each) => {
    if (each !== at) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  });
}
