import { actions, unknownWord, type Action } from '../intent.ts';
import { task, type EcosystemRule, type TaskInput } from './rule.ts';

const candidates: Readonly<Record<Action, readonly string[]>> = {
  clean: ['clean'],
  build: ['build', 'compile', 'all'],
  format: ['format-check', 'fmt-check', 'format', 'fmt'],
  lint: ['lint'],
  typecheck: ['typecheck', 'types'],
  check: ['check', 'verify'],
  test: ['test', 'tests', 'check'],
  bench: ['bench', 'benchmark'],
  docs: ['docs', 'doc'],
};
const targetsMax = 500;

/** Targets of a Makefile, by name. */
export const make: EcosystemRule = (profile, intent) => {
  const manifest = ['GNUmakefile', 'makefile', 'Makefile'].find((name) =>
    profile.names.includes(name),
  );
  if (manifest === undefined) return undefined;
  const targets = targetsOf(profile.texts[manifest] ?? '');
  const reasons: string[] = [];
  const tasks: TaskInput[] = [];
  const add = (id: string, target: string) => {
    const before = tasks.at(-1);
    tasks.push(
      task({
        id,
        title: `make ${target}`,
        why: `${manifest} has a target ${target}`,
        tool: 'make',
        args: [target],
        deps: before === undefined ? [] : [before.id],
      }),
    );
  };
  const wanted = intent.all
    ? actions.filter((a) => a !== 'clean' && candidates[a].some((name) => targets.has(name)))
    : intent.actions;
  for (const action of wanted) {
    const target = candidates[action].find((name) => targets.has(name));
    if (target === undefined) reasons.push(`${manifest} has no target named ${action}`);
    else if (!tasks.some((one) => one.args[0] === target)) add(action, target);
  }
  for (const name of intent.names) {
    if (targets.has(name) && /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name)) add(name, name);
    else reasons.push(unknownWord(name));
  }
  if (intent.all && tasks.length === 0) reasons.push(`${manifest} has none of the usual targets`);
  return { ecosystem: 'make', manifest, tasks, assumptions: [], reasons };
};

function targetsOf(text: string): Set<string> {
  const found = new Set<string>();
  for (const [, names = ''] of text.matchAll(/^([A-Za-z0-9][\w ./-]{0,200}?)\s*::?(?!=)/gm)) {
    for (const name of names.split(' ')) if (name !== '') found.add(name);
    if (found.size >= targetsMax) break;
  }
  return found;
}
