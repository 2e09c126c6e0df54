import { formatLimit, limitNames, limitWords, type Limits } from '#contract/limits.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import { cutText } from '../../base/text.ts';

/** All that a plan may do at most: what its tasks may, taken together. */
export type Envelope = {
  image: string;
  tools: ReadonlySet<string>;
  programs: ReadonlySet<string>;
  inlineCode: ReadonlySet<string>;
  env: ReadonlySet<string>;
  secrets: ReadonlySet<string>;
  locks: ReadonlySet<string>;
  packages: ReadonlySet<string>;
  outputs: readonly string[];
  sideEffects: number;
  limits: Limits | undefined;
};

/** Of the plan that was accepted first; no later one counts, or step by step everything would do. */
export function envelopeOf({ image, tasks }: Pick<Plan, 'image' | 'tasks'>): Envelope {
  const all = <T>(of: (task: PlanTask) => readonly T[]) => new Set(tasks.flatMap(of));
  return {
    image: image.id,
    tools: all(({ tool }) => [tool]),
    programs: all(programsOf),
    inlineCode: all((task) => (hasInlineCode(task) ? [task.tool] : [])),
    env: all(({ env }) => Object.keys(env)),
    secrets: all(({ secrets }) => secrets),
    locks: all(({ locks = [] }) => locks),
    packages: all(({ provisions, cwd }) => (provisions.length > 0 ? [cwd] : [])),
    outputs: tasks.flatMap(({ outputs }) => outputs.map(({ path }) => path)),
    sideEffects: tasks.filter(({ sideEffects }) => sideEffects === true).length,
    limits: tasks.map(({ limits }) => limits).reduce<Limits | undefined>(most, undefined),
  };
}

/** What tasks that come would do beyond it, in words; `whole` is the plan that they are a part of. */
export function widenings(
  envelope: Envelope,
  whole: Pick<Plan, 'image' | 'tasks'>,
  comes: readonly PlanTask[],
): { task: string; message: string }[] {
  const found = comes.flatMap((task) =>
    widened(envelope, task).map((what) => ({
      task: task.id,
      message: cutText(`${task.id}: ${what}, which nothing in the plan that was accepted has`, 240),
    })),
  );
  if (whole.image.id !== envelope.image) {
    found.push({ task: '', message: 'another image than that of the plan that was accepted' });
  }
  const effects = whole.tasks.filter(({ sideEffects }) => sideEffects === true).length;
  const [first] = comes.filter(({ sideEffects }) => sideEffects === true);
  if (first !== undefined && effects > envelope.sideEffects) {
    found.push({
      task: first.id,
      message: `${first.id}: one more task with side effects than the plan that was accepted has`,
    });
  }
  return found;
}

function widened(envelope: Envelope, task: PlanTask): string[] {
  const beyond = (what: string, words: readonly string[], has: ReadonlySet<string>) =>
    words.filter((word) => !has.has(word)).map((word) => `${what} ${shown(word)}`);
  const paths = task.outputs.map(({ path }) => path);
  const { limits } = envelope;
  return [
    ...beyond('the tool', [task.tool], envelope.tools),
    ...beyond('the program', programsOf(task), envelope.programs),
    ...(hasInlineCode(task) && !envelope.inlineCode.has(task.tool)
      ? [`code of its own for ${shown(task.tool)}`]
      : []),
    ...beyond('the variable', Object.keys(task.env), envelope.env),
    ...beyond('the secret', task.secrets, envelope.secrets),
    ...beyond('the lock', task.locks ?? [], envelope.locks),
    ...beyond('packages in', task.provisions.length > 0 ? [task.cwd] : [], envelope.packages),
    ...paths
      .filter((path) => !envelope.outputs.some((known) => isWithin(path, known)))
      .map((path) => `the output ${shown(path)}`),
    ...limitNames
      .filter((name) => limits !== undefined && task.limits[name] > limits[name])
      .map((name) => `${limitWords[name]} of ${formatLimit(name, task.limits[name])}`),
  ];
}

/** What really runs: tools that start another program are not all that there is to say. */
function programsOf({ tool, args, command }: PlanTask): string[] {
  const [program = ''] = command;
  if (!starters.has(tool) && !starters.has(program)) return [program];
  return [program, args.find((word) => !word.startsWith('-')) ?? ''];
}

const starters: ReadonlySet<string> = new Set([
  'exec',
  'npx',
  'env',
  'xargs',
  'timeout',
  'nice',
  'node',
  'python',
  'python3',
  'sh',
  'bash',
]);

function hasInlineCode({ tool, args, command: [program = ''] }: PlanTask): boolean {
  if (!starters.has(tool) && !starters.has(program)) return false;
  return args.some((word) => /^(?:-[a-z]*[cep]|--eval|--print)(?:=|$)/.test(word));
}

function isWithin(path: string, known: string): boolean {
  return path === known || path.startsWith(`${known.replace(/\/$/, '')}/`);
}

function most(a: Limits | undefined, b: Limits): Limits {
  if (a === undefined) return b;
  const limits = { ...a };
  for (const name of limitNames) limits[name] = Math.max(a[name], b[name]);
  return limits;
}

function shown(word: string): string {
  return JSON.stringify(cutText(word, 64));
}
