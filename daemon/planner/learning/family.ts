import type { PlanTask } from '#contract/plan.ts';
import type { RecordData } from '#contract/records.ts';

const wordsMax = 3;
const wordMax = 32;
const afterMax = 8;

type Like = NonNullable<RecordData<'task.started'>['like']>;

/**
 * What tasks have to have in common for one to teach something about the other: the tool and its
 * first arguments, with everything left out that changes from one day to the next, and everything
 * that is somebody's own words.
 */
export function familyOf({ tool, args }: Pick<PlanTask, 'tool' | 'args'>): string {
  const [first = '', ...rest] = args;
  const words = tool === 'exec' ? [first.replace(/^.*\//s, ''), ...rest] : [tool, ...args];
  return words
    .slice(0, wordsMax + 1)
    .map(wordOf)
    .join(' ');
}

/** What the record of an attempt says of it, for later ones to learn from. */
export function likeOf(task: PlanTask, before: readonly PlanTask[]): Like {
  const direct = before.filter(({ id }) => task.deps.includes(id)).slice(0, afterMax);
  return {
    family: familyOf(task),
    after: [...new Set(direct.map(familyOf))],
    timeout_ms: task.limits.timeoutMs,
    memory_bytes: task.limits.memoryBytes,
  };
}

/** Tasks of it need have nothing in common: what one does is in words that the family leaves out. */
export function isVague(family: string): boolean {
  return family.includes('<text>');
}

function wordOf(word: string): string {
  const [option = ''] = word.split('=', 1);
  if (/^--?[A-Za-z][\w-]{0,31}$/.test(option) && option !== word) return option;
  if (/^(?:sha\d+[:-])?[0-9a-f]{7,128}$/i.test(word) && /\d/.test(word)) return '<hash>';
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(word)) return '<hash>';
  if (/^\d+$/.test(word)) return '<number>';
  if (/^v?\d+(?:\.\d+)+[\w.+-]{0,64}$/.test(word)) return '<version>';
  const named = /^([\w.-]{1,32})@[~^]?v?\d[\w.+-]{0,64}$/.exec(word);
  if (named) return `${named[1]}@<version>`;
  if (/^[^\s'"$`;|&<>]+\/[^\s'"$`;|&<>]*$/.test(word)) return '<path>';
  return word.length <= wordMax && /^[\w@:+.,-]+$/.test(word) ? word : '<text>';
}
