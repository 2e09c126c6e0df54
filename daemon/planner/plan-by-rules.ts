import { OrchestraError } from '#contract/errors.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import { neededProgram } from '../tools/index.ts';
import { actions, readIntent, type Intent } from './intent.ts';
import type { DraftInput } from './plan-file.ts';
import type { Profile } from './profile.ts';
import { ecosystemRules } from './rules/index.ts';
import type { Proposal } from './rules/rule.ts';

export type RulesContext = {
  intent: string;
  profile: Profile;
  policy: EffectivePolicy;
  image: { reference: string };
  imageTools: readonly string[];
};

/**
 * The plan that rules make of an intent, or `plan.impossible` with every reason. The first
 * ecosystem that can do all of what was asked is taken; nothing is mixed and nothing guessed.
 */
export function planByRules(context: RulesContext): DraftInput {
  const intent = readIntent(context.intent);
  if (intent.actions.length === 0 && !intent.all && intent.names.length === 0) {
    throw impossible(['the intent names nothing to do'], `it can name ${actions.join(', ')}, all`);
  }
  const proposals = ecosystemRules
    .map((rule) => rule(context.profile, intent))
    .filter((proposal) => proposal !== undefined);
  const considered = proposals.filter((one) => isAsked(one, intent));
  if (considered.length === 0) throw nothingToRead(proposals, intent);
  const reasons = considered.map((one) => [...one.reasons, ...missingTools(one, context)]);
  const chosen = considered.find((_, i) => reasons[i]?.length === 0);
  if (chosen === undefined) {
    throw impossible([...new Set(reasons.flat())], considered.find((one) => one.hint)?.hint);
  }
  const others = considered.filter((one) => one !== chosen).map((one) => one.manifest);
  const assumptions = [...chosen.assumptions];
  if (others.length > 0) {
    assumptions.push(`${chosen.manifest} is used; ${others.join(', ')} was not.`);
  }
  return { version: 1, assumptions: assumptions.slice(0, 32), tasks: chosen.tasks };
}

function isAsked(proposal: Proposal, intent: Intent): boolean {
  return intent.only.length === 0 || intent.only.includes(proposal.ecosystem);
}

function nothingToRead(proposals: readonly Proposal[], intent: Intent): OrchestraError {
  if (intent.only.length > 0 && proposals.length > 0) {
    const there = proposals.map((one) => one.manifest).join(', ');
    const reason = `nothing here belongs to ${intent.only.join(' or ')}; there is ${there}`;
    return impossible([reason]);
  }
  const known =
    'package.json, Cargo.toml, go.mod, pyproject.toml, build.gradle, pom.xml, CMakeLists.txt or Makefile';
  return impossible([`the workspace has none of ${known}`], 'write a plan: --plan FILE');
}

// Named once for each tool, whatever number of tasks would need it.
function missingTools(proposal: Proposal, context: RulesContext): string[] {
  const { policy, image, imageTools } = context;
  const reasons = proposal.tasks.flatMap((task) => {
    const found: string[] = [];
    const program = neededProgram({ tool: task.tool, args: task.args });
    if (program !== undefined && !imageTools.includes(program)) {
      found.push(`${program} is not in ${image.reference}`);
    }
    if (!policy.tools.includes(task.tool)) {
      found.push(`policy ${policy.name} does not allow the tool ${task.tool}`);
    }
    return found;
  });
  const installs = proposal.tasks.some((task) => task.id === 'install');
  if (installs && policy.provision.registries.length === 0) {
    reasons.push(`packages are needed, and policy ${policy.name} allows no registry`);
  }
  return [...new Set(reasons)];
}

function impossible(reasons: readonly string[], hint?: string): OrchestraError {
  const places = reasons.slice(0, 50).map((message) => ({ message }));
  const message = `cannot plan this: ${reasons.slice(0, 3).join('; ')}`;
  return new OrchestraError(
    'plan.impossible',
    message,
    hint === undefined ? { places } : { places, hint },
  );
}
