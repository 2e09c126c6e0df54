import type { RuleName } from './rules/index.ts';

/** What would make each rule allow a thing, for whoever was refused by it. */
export const ruleRemedies: Readonly<Record<RuleName, string>> = {
  image:
    'name the image under `images` of the policy; after it changed on purpose: orchestra image pin REFERENCE',
  command: 'start a program in a directory of the workspace, with arguments of less than 128 KiB',
  limits: 'ask for less in the plan, or raise the value under `limits` of the policy',
  environment:
    'list the name under `env` of the policy; names that decide which code runs are refused always',
  identity: 'nothing: a task is an ordinary user and carries the labels of its run',
  mounts: "nothing: only the daemon's own directories are shown, at places that are known",
  secrets: 'grant it to this tool and task under `secrets` of the policy, and set its value',
  runtime: 'add the runtime to `isolation.runtimes` of the policy, or install one of the list',
  confinement:
    'use a machine that has what `isolation` of the policy requires, or say `preferred` there',
};

export function isRuleName(text: string): text is RuleName {
  return Object.hasOwn(ruleRemedies, text);
}
