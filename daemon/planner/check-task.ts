import type { DraftTask, Finding } from '#contract/plan.ts';
import { nearest, quoted } from '../base/schema-issues.ts';
import { allowsName } from '../policy/env-pattern.ts';
import { grantsSecret } from '../policy/secret-grants.ts';
import { isReserved } from '../tools/environment.ts';
import { findTool, neededProgram, toolNames } from '../tools/index.ts';
import { globProblem, pathProblem } from './paths.ts';
import type { ValidateContext } from './validate.ts';

/** Everything that can be said of one task without looking at the others. */
export function checkTask(task: DraftTask, pointer: string, context: ValidateContext): Finding[] {
  const add = (code: Finding['code'], where: string, message: string, hint?: string): Finding => ({
    code,
    task: task.id,
    pointer: `${pointer}${where}`,
    message: `${task.id}: ${message}`,
    ...(hint === undefined ? {} : { hint }),
  });
  return [
    ...checkWords(task, add),
    ...checkTool(task, context, add),
    ...checkPaths(task, add),
    ...checkInputs(task, add),
    ...checkEnvironment(task, context, add),
    ...checkSecrets(task, context, add),
  ];
}

type Add = (code: Finding['code'], where: string, message: string, hint?: string) => Finding;

// Titles are shown on terminals and in reports: one line, nothing that moves a cursor.
function checkWords(task: DraftTask, add: Add): Finding[] {
  return (['title', 'why'] as const)
    .filter((field) => /\p{Cc}/u.test(task[field]) || !task[field].isWellFormed())
    .map((field) => add('schema', `/${field}`, `${field} holds a control character`));
}

function checkTool(
  task: DraftTask,
  { policy, image, imageTools }: ValidateContext,
  add: Add,
): Finding[] {
  const tool = findTool(task.tool);
  if (tool === undefined) {
    const near = nearest(task.tool, toolNames);
    const hint = near === undefined ? `tools: ${policy.tools.join(', ')}` : `did you mean ${near}?`;
    return [add('unknown_tool', '/tool', `${quoted(task.tool)} is not a tool`, hint)];
  }
  const findings: Finding[] = [];
  if (!policy.tools.includes(task.tool)) {
    const hint =
      policy.tools.length === 0 ? 'it allows no tool' : `it allows ${policy.tools.join(', ')}`;
    findings.push(
      add(
        'tool_denied',
        '/tool',
        `policy ${policy.name} does not allow the tool ${task.tool}`,
        hint,
      ),
    );
  }
  const program = neededProgram(task);
  if (program !== undefined && program !== '' && !imageTools.includes(program)) {
    const hint =
      task.tool === 'exec'
        ? `a program that npm installed is started by npx ${program}`
        : undefined;
    findings.push(
      add('tool_missing', '/tool', `${shown(program)} is not in ${image.reference}`, hint),
    );
  }
  findings.push(...tool.judge(task.args).map((why) => add('argument_denied', '/args', why)));
  if (tool.provisions(task.args).length > 0 && policy.provision.registries.length === 0) {
    const message = `needs packages, and policy ${policy.name} allows no registry`;
    findings.push(add('tool_denied', '/args', message));
  }
  for (const [i, arg] of task.args.entries()) {
    if (arg.includes('\0') || !arg.isWellFormed()) {
      findings.push(add('argument_denied', `/args/${i}`, 'an argument holds a NUL or broken text'));
    }
  }
  return findings;
}

function checkPaths(task: DraftTask, add: Add): Finding[] {
  const findings: Finding[] = [];
  const cwd = pathProblem(task.cwd);
  if (cwd !== undefined) findings.push(add('path_denied', '/cwd', `${quoted(task.cwd)} ${cwd}`));
  const names = new Set<string>();
  for (const [i, { name, path }] of task.outputs.entries()) {
    const why = path === '.' ? 'is the whole workspace; name what is made' : pathProblem(path);
    if (why !== undefined) {
      findings.push(add('path_denied', `/outputs/${i}/path`, `${quoted(path)} ${why}`));
    }
    if (names.has(name)) {
      findings.push(add('duplicate_id', `/outputs/${i}/name`, `two outputs are called ${name}`));
    }
    names.add(name);
  }
  return findings;
}

function checkInputs({ inputs }: DraftTask, add: Add): Finding[] {
  const findings = inputs.flatMap((glob, i) => {
    const why = globProblem(glob);
    return why === undefined
      ? []
      : [add('path_denied', `/inputs/${i}`, `${quoted(glob)} ${why}`, 'src/**, *.json, !docs/')];
  });
  if (inputs.length > 0 && inputs.every((glob) => glob.startsWith('!'))) {
    const message = 'its inputs only take away; name first what it sees';
    findings.push(add('path_denied', '/inputs', message));
  }
  return findings;
}

function checkEnvironment(task: DraftTask, { policy }: ValidateContext, add: Add): Finding[] {
  const seen = new Set<string>();
  return task.env.flatMap(({ name, value }, i) => {
    const where = `/env/${i}`;
    const findings: Finding[] = [];
    if (seen.has(name)) findings.push(add('environment_denied', where, `${name} is set twice`));
    seen.add(name);
    if (isReserved(name)) {
      findings.push(add('environment_denied', where, `${name} cannot be set by a plan`));
    } else if (!allowsName(policy.env, name)) {
      const message = `policy ${policy.name} does not allow the variable ${name}`;
      findings.push(add('environment_denied', where, message));
    }
    if (value.includes('\0') || !value.isWellFormed()) {
      findings.push(add('environment_denied', where, `${name} holds a NUL or broken text`));
    }
    return findings;
  });
}

function checkSecrets(task: DraftTask, { policy }: ValidateContext, add: Add): Finding[] {
  const { name: rules, secrets: grants } = policy;
  return task.secrets.flatMap((name, i) => {
    const where = `/secrets/${i}`;
    if (task.secrets.indexOf(name) < i) return [add('schema', where, `${name} is named twice`)];
    if (grantsSecret(grants, name, task)) return [];
    const isKnown = grants.some((grant) => grant.name === name);
    const message = isKnown
      ? `policy ${rules} does not grant ${name} to this id with the tool ${task.tool}`
      : `policy ${rules} grants no secret ${name}`;
    return [add('secret_denied', where, message, 'secrets: in the policy')];
  });
}

function shown(program: string): string {
  return /^[\w.+-]{1,60}$/.test(program) ? program : quoted(program);
}
