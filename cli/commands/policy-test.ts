import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { CaseResult, PolicyTestReport } from '#contract/policy-tools.ts';
import { policyBytesMax } from '#contract/policy.ts';
import type { Command, Context } from '../context.ts';
import { countOption, flagOption } from '../options.ts';
import { readTextFile } from '../read-text.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

type Tested = { file: string; report: PolicyTestReport };

/**
 * Judges the cases beside policies: `NAME.test.yaml` beside `NAME.yaml`. Ends with 1 where one is
 * not as expected, or where too few rules are reached.
 */
export const policyTest: Command = async (context, [given = '.'], options) => {
  const { print } = context;
  const min = countOption(options, 'coverageMin', { min: 0, max: 100 }) ?? 0;
  const underCeiling = flagOption(options, 'underCeiling');
  const client = await context.client();
  const tested: Tested[] = [];
  for (const { policy, tests } of await suitesIn(context.cwd, given)) {
    const body = {
      policy: await fileAt(context.cwd, policy),
      tests: await Promise.all(tests.map((test) => fileAt(context.cwd, test))),
      under_ceiling: underCeiling,
    };
    tested.push({ file: policy, report: await client.call('policyTest', { body }) });
  }
  const failed = tested.some(({ report }) => report.failed > 0);
  const isShort = tested.some(({ report }) => report.coverage.percent < min);
  const ok = !failed && !isShort;
  if (print.json) print.object({ ok, coverage_min: min, policies: tested });
  else for (const one of tested) show(context, one, min);
  return ok ? exitCodes.ok : exitCodes.config;
};

type Suite = { policy: string; tests: string[] };

const suitesMax = 256;
const testFile = /\.test\.ya?ml$/;

/** A policy with its cases, or every policy of a directory that has some. Paths from `cwd` on. */
async function suitesIn(cwd: string, given: string): Promise<Suite[]> {
  const isDirectory = await stat(path.resolve(cwd, given)).then(
    (found) => found.isDirectory(),
    (cause: unknown) => {
      throw new OrchestraError('usage.invalid', `${given} cannot be read`, { cause });
    },
  );
  const directory = isDirectory ? given : path.dirname(given);
  const names = (await readdir(path.resolve(cwd, directory))).toSorted();
  const tests = names.filter((name) => testFile.test(name));
  const wanted = isDirectory ? undefined : stemOf(path.basename(given));
  const suites = new Map<string, Suite>();
  for (const name of tests) {
    const stem = stemOf(name);
    if (wanted !== undefined && stem !== wanted) continue;
    const policy = [`${stem}.yaml`, `${stem}.yml`].find((each) => names.includes(each));
    if (policy === undefined) {
      throw new OrchestraError('policy.invalid', `There is no ${stem}.yaml beside ${name}`);
    }
    const suite = suites.get(policy) ?? { policy: path.join(directory, policy), tests: [] };
    suite.tests.push(path.join(directory, name));
    suites.set(policy, suite);
  }
  if (suites.size === 0) {
    throw new OrchestraError('usage.invalid', `There are no cases for ${given}`, {
      hint: 'write them into NAME.test.yaml beside NAME.yaml: docs/POLICY.md, "Testing a policy"',
    });
  }
  return [...suites.values()].slice(0, suitesMax);
}

/** `prod.yaml`, `prod.test.yaml` and `prod.release.test.yaml` are all about `prod`. */
function stemOf(name: string): string {
  return name.split('.', 1)[0] ?? name;
}

async function fileAt(cwd: string, file: string): Promise<{ file: string; text: string }> {
  const text = await readTextFile(path.resolve(cwd, file), {
    bytesMax: policyBytesMax,
    code: 'policy.invalid',
    shown: file,
  });
  return { file: file.slice(-512), text };
}

function show({ print }: Context, { file, report }: Tested, min: number): void {
  const { out } = print;
  const { cases, passed, failed, coverage } = report;
  for (const one of cases.filter(({ ok }) => !ok)) showFailed(print, one);
  const mark = failed === 0 ? out.green('✔') : out.red('✘');
  print.line(`${mark} ${safe(file)}: ${passed} of ${cases.length} cases as expected`);
  const missed = coverage.rules.filter(({ decided }) => decided === 0);
  const idle = coverage.profiles.filter(({ applied }) => applied === 0);
  if (coverage.total === 0) return;
  const isShort = coverage.percent < min;
  const figure = `${coverage.covered} of ${coverage.total} rules and profiles, ${coverage.percent} %`;
  print.line(
    isShort ? out.red(`✘ reached: ${figure}, less than ${min} %`) : `  reached: ${figure}`,
  );
  const rows = [
    ...missed.map(({ document, rule, effect, line, held }) => [
      `    ${document}/${rule}`,
      effect,
      `line ${line}`,
      held > 0 ? 'held, and never decided' : 'held in no case',
    ]),
    ...idle.map(({ document, profile }) => [
      `    ${document}/${profile}`,
      'profile',
      '',
      'applied to no case',
    ]),
  ];
  for (const line of table(rows)) print.line(out.dim(`  ${line}`));
}

function showFailed(print: Context['print'], one: CaseResult): void {
  const { out } = print;
  const line = (text: string) => print.line(text);
  line(out.red(`✘ ${safe(one.file)}:${one.line}: ${safe(one.name)}`));
  for (const text of one.differs) line(`    ${safe(text)}`);
  line(`    - expected  ${inWords(one.expected.effect, one.expected.rule, one.expected.profile)}`);
  line(`    + got       ${inWords(one.got.effect, one.got.rules.join(', '), one.got.profile)}`);
  for (const reason of one.got.reasons) line(`                ${safe(reason)}`);
}

function inWords(effect: string, rule: string | undefined, profile: string | undefined): string {
  return [
    effect,
    ...(rule === undefined || rule === '' ? [] : [`by ${safe(rule)}`]),
    ...(profile === undefined ? [] : [`in profile ${safe(profile)}`]),
  ].join(' ');
}
