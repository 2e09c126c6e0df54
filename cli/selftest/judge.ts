import { down, held, skipped, type Seen, type Verdict } from './attack.ts';

/** How a kernel says no. Any other answer means that it went into the matter. */
const refusals = new Set([
  'EPERM',
  'EACCES',
  'EROFS',
  'ENOENT',
  'ENOSYS',
  'ENODEV',
  'ENXIO',
  'ENOTDIR',
  'EOPNOTSUPP',
  'EAFNOSUPPORT',
  'EPROTONOSUPPORT',
  'ESRCH',
  'EXDEV',
  'ETXTBSY',
  'SIGSYS',
  // Said by a script that looked for something and found nothing.
  'NOTHING',
]);

/** Everything that the script tried was refused, and it tried something. */
export function allRefused(seen: Seen, also: readonly string[] = []): Verdict {
  const answers = Object.entries(seen.answers);
  if (answers.length === 0) return notTried(seen);
  const broken = answers.filter(([, { text }]) => text.startsWith('BROKEN'));
  const through = answers.filter(
    ([, { through: isThrough, text }]) =>
      isThrough || !(text.startsWith('BROKEN') || isRefusal(text, also)),
  );
  if (through.length > 0) return down(`not refused: ${listed(through)}`);
  if (broken.length > 0) return skipped(`could not be tried: ${listed(broken)}`);
  return held(`refused: ${listed(answers)}`);
}

function isRefusal(text: string, also: readonly string[]): boolean {
  const code = text.split(':')[0] ?? '';
  return refusals.has(code) || also.includes(code);
}

/** What to say of a task whose script never reported that it tried. */
export function notTried({ task, run, printed }: Seen): Verdict {
  const state = task === undefined ? `the run was ${run.state}` : `the task ${task.state}`;
  const why = task?.reason ?? run.reasons[0] ?? run.reason ?? '';
  const last = printed.trim().split('\n').at(-1) ?? '';
  return skipped(
    [`the attack did not report that it began: ${state}`, why, last]
      .filter((part) => part !== '')
      .join('; '),
  );
}

/** The task began, then met exactly this limit, by name. */
export function limited(...limits: readonly string[]) {
  return (seen: Seen): Verdict => {
    if (!began(seen)) return notTried(seen);
    const { task } = seen;
    const met = task?.limit;
    const said = `ended as ${task?.state ?? 'unknown'}${met === undefined ? '' : ` by its limit of ${met}`}${task?.reason === undefined ? '' : `: ${task.reason}`}`;
    return met !== undefined && limits.includes(met) ? held(said) : down(said);
  };
}

export function began(seen: Seen): boolean {
  return Object.hasOwn(seen.answers, 'began');
}

/** The script was not what failed, and still nothing was collected of its output. */
export function outputRefused(seen: Seen): Verdict {
  if (!began(seen)) return notTried(seen);
  const { task } = seen;
  if (task === undefined) return notTried(seen);
  const said = `${task.state}: ${task.reason ?? 'no reason given'}`;
  // Where the whole attempt was refused after its end, no code of its own is told.
  const isOwnFault = task.exitCode !== undefined && task.exitCode !== 0;
  const isRefused = task.state === 'failed' && !isOwnFault && task.artifacts.length === 0;
  return isRefused ? held(said) : down(`${said}, ${task.artifacts.length} outputs collected`);
}

function listed(answers: readonly (readonly [string, { text: string }])[]): string {
  const text = answers.map(([name, { text: answer }]) => `${name} → ${answer}`).join(', ');
  return text.length > 1500 ? `${text.slice(0, 1500)}…` : text;
}
