import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { SubmitRun } from '#contract/run.ts';
import { parseDuration } from '#contract/units.ts';
import { readCliConfig, type CliConfig } from '../cli-config.ts';
import type { Context, Options } from '../context.ts';
import { readTextFile } from '../read-text.ts';
import { choiceOption, countOption, textOption } from '../options.ts';
import { outputForms, type OutputForm } from './show-live.ts';

export type RunSettings = {
  workspace: string;
  reportDir: string | undefined;
  output: OutputForm | undefined;
  /** The part of a submission that flags and the configuration decide. */
  submit: Omit<SubmitRun, 'intent' | 'snapshot' | 'exec'>;
};

const policyBytesMax = 256 * 1024;
const planBytesMax = 2 * 1024 * 1024;

/** What flags say, then what `-c FILE` says, then what the user's own file says. */
export async function runSettings(context: Context, options: Options): Promise<RunSettings> {
  const config = await readCliConfig(context.cwd, context.env, textOption(options, 'config'));
  const said = (name: keyof CliConfig) => {
    const flag = textOption(options, name === 'report_dir' ? 'reportDir' : name);
    return flag ?? config.values[name]?.toString();
  };
  // A path in a file is meant from that file, a path in a flag from here.
  const located = (name: keyof CliConfig) => {
    const value = said(name);
    if (value === undefined) return undefined;
    const fromFlag = textOption(options, name === 'report_dir' ? 'reportDir' : name) !== undefined;
    return path.resolve(fromFlag ? context.cwd : (config.dirs[name] ?? context.cwd), value);
  };
  const workspace = located('workspace') ?? context.cwd;
  const plan = located('plan');
  const policy = said('policy');
  const policyFile = policy === undefined || isName(policy) ? undefined : located('policy');
  const concurrency =
    countOption(options, 'concurrency', { min: 1, max: 1024 }) ?? config.values.concurrency;
  return {
    workspace,
    reportDir: located('report_dir'),
    output: choiceOption(options, 'output', outputForms) ?? config.values.output,
    submit: {
      workspace: path.basename(workspace).toWellFormed().slice(0, 256),
      ...(plan === undefined
        ? {}
        : {
            plan: {
              text: await readText(plan, planBytesMax, 'plan.invalid'),
              file: shown(context, plan),
            },
          }),
      ...(policy === undefined
        ? {}
        : {
            policy:
              policyFile === undefined
                ? { name: policy }
                : {
                    text: await readText(policyFile, policyBytesMax, 'policy.invalid'),
                    file: shown(context, policyFile),
                  },
          }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...timeoutOf(said('timeout')),
    },
  };
}

/** A policy's name has no dot and no slash; everything else is a file. */
function isName(text: string): boolean {
  return /^[a-z][a-z0-9-]{0,62}$/.test(text);
}

function timeoutOf(text: string | undefined): { timeoutMs?: number } {
  if (text === undefined) return {};
  const timeoutMs = parseDuration(text);
  if (timeoutMs === undefined) {
    throw new OrchestraError('usage.invalid', `--timeout ${text} is not a duration`, {
      hint: 'write 90s, 10m or 1h30m',
    });
  }
  return { timeoutMs };
}

function shown(context: Context, file: string): string {
  const relative = path.relative(context.cwd, file);
  return (relative.startsWith('..') ? path.basename(file) : relative).slice(-256);
}

async function readText(
  file: string,
  bytesMax: number,
  code: 'plan.invalid' | 'policy.invalid',
): Promise<string> {
  try {
    return await readTextFile(file, { bytesMax, code });
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    const why =
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'cannot be read';
    throw new OrchestraError('usage.invalid', `The file ${file} ${why}`, { cause });
  }
}
