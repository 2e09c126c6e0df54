import { replansMax } from '#contract/replan.ts';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { SubmitRun } from '#contract/run.ts';
import { readCliConfig, type CliConfig, type ReadConfig } from '../cli-config.ts';
import type { Context, Options } from '../context.ts';
import { readTextFile } from '../read-text.ts';
import { choiceOption, countOption, parseTime, textOption } from '../options.ts';
import { peopleSettings, type PeopleSettings } from '../requests/settings.ts';
import { outputForms, type OutputForm } from './show-live.ts';

/** Where and how a run is shown. */
export type ShowSettings = {
  reportDir: string | undefined;
  output: OutputForm | undefined;
  people: PeopleSettings;
};

export type RunSettings = ShowSettings & {
  workspace: string;
  /** The part of a submission that flags and the configuration decide. */
  submit: Omit<SubmitRun, 'intent' | 'snapshot' | 'exec'>;
};

const policyBytesMax = 256 * 1024;
const planBytesMax = 2 * 1024 * 1024;
export const concurrencyBounds = { min: 1, max: 1024 };

/** What flags say, then what `-c FILE` says, then what the user's own file says. */
export async function runSettings(context: Context, options: Options): Promise<RunSettings> {
  const said = await Said.read(context, options);
  const workspace = said.located('workspace') ?? context.cwd;
  const plan = said.located('plan');
  const planner = plannerOf(options, plan);
  const policy = await policyOf(context, said);
  const timeout = said.text('timeout');
  const priority = countOption(options, 'priority', { min: -100, max: 100 });
  const concurrency =
    countOption(options, 'concurrency', concurrencyBounds) ?? said.config.values.concurrency;
  return {
    workspace,
    ...(await showOf(context, said, options)),
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
      ...(planner === undefined ? {} : { planner }),
      ...(policy === undefined ? {} : { policy }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(timeout === undefined ? {} : { timeoutMs: parseTime(timeout, '--timeout') }),
      ...(priority === undefined ? {} : { priority }),
      ...(options['cache'] === false ? { cache: false } : {}),
      ...(options['autonomous'] === true ? { autonomous: true } : {}),
      ...replanOf(options),
    },
  };
}

function replanOf(options: Options): { replan?: number } {
  if (textOption(options, 'replan') === 'off') return { replan: 0 };
  const replan = countOption(options, 'replan', { min: 0, max: replansMax });
  return replan === undefined ? {} : { replan };
}

function plannerOf(options: Options, plan: string | undefined): string | undefined {
  const planner = textOption(options, 'planner');
  if (planner === undefined || plan === undefined) return planner;
  throw new OrchestraError('usage.invalid', '--plan has a plan, so --planner makes none', {
    hint: 'leave one of them out',
  });
}

/** The part of the settings that says how a run is shown. */
export async function showSettings(context: Context, options: Options): Promise<ShowSettings> {
  return showOf(context, await Said.read(context, options), options);
}

/** The policy that was named, by its name or with its text. */
export async function policySetting(
  context: Context,
  options: Options,
): Promise<SubmitRun['policy']> {
  return policyOf(context, await Said.read(context, options));
}

class Said {
  readonly config: ReadConfig;
  readonly #cwd: string;
  readonly #options: Options;

  private constructor(config: ReadConfig, cwd: string, options: Options) {
    this.config = config;
    this.#cwd = cwd;
    this.#options = options;
  }

  static async read({ cwd, env }: Context, options: Options): Promise<Said> {
    const config = await readCliConfig(cwd, env, textOption(options, 'config'));
    return new Said(config, cwd, options);
  }

  text(name: keyof CliConfig): string | undefined {
    return this.#flag(name) ?? this.config.values[name]?.toString();
  }

  /** A path in a file is meant from that file, a path in a flag from here. */
  located(name: keyof CliConfig): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const isFlag = this.#flag(name) !== undefined;
    return path.resolve(isFlag ? this.#cwd : (this.config.dirs[name] ?? this.#cwd), value);
  }

  #flag(name: keyof CliConfig): string | undefined {
    return textOption(this.#options, name === 'report_dir' ? 'reportDir' : name);
  }
}

async function showOf(context: Context, said: Said, options: Options): Promise<ShowSettings> {
  return {
    reportDir: said.located('report_dir'),
    output: choiceOption(options, 'output', outputForms) ?? said.config.values.output,
    people: await peopleSettings(context, options),
  };
}

async function policyOf(context: Context, said: Said): Promise<SubmitRun['policy']> {
  const policy = said.text('policy');
  if (policy === undefined) return undefined;
  const file = isName(policy) ? undefined : said.located('policy');
  return file === undefined
    ? { name: policy }
    : {
        text: await readText(file, policyBytesMax, 'policy.invalid'),
        file: shown(context, file),
      };
}

/** A policy's name has no dot and no slash; everything else is a file. */
function isName(text: string): boolean {
  return /^[a-z][a-z0-9-]{0,62}$/.test(text);
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
