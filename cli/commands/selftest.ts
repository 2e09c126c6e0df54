import { hash } from 'node:crypto';
import { lstat, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { Client } from '../client/client.ts';
import { connectionError } from '../client/errors.ts';
import type { Command, Context, Options } from '../context.ts';
import { choiceOption, flagOption, textOption } from '../options.ts';
import { type Attack, type Group, groups, groupTitles } from '../selftest/attack.ts';
import type { Field } from '../selftest/field.ts';
import { factsOf } from '../selftest/machine.ts';
import { selftestPolicy } from '../selftest/policy.ts';
import {
  countsOf,
  markdownOf,
  SelftestReport,
  verdictOn,
  verdictWords,
} from '../selftest/report.ts';
import { type Chosen, type Outcome, runAttacks } from '../selftest/run.ts';
import { broken, checkAttestation } from '../selftest/signature.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { writeFileFresh } from '../write-file.ts';

const reportBytesMax = 8 * 1024 * 1024;

/**
 * Attacks the installed product by the ways that are open to anybody who may use it, and says
 * which walls held. Exit 0 when all did, 4 when one is down, 2 when an attack could not be made.
 */
export const selftest: Command = async (context, [verb, place], options) => {
  if (verb === 'verify') return verifyReport(context, place, options);
  if (verb !== undefined) {
    throw new OrchestraError('usage.invalid', `orchestra selftest does not know ${verb}`, {
      hint: 'orchestra selftest --hostile, or orchestra selftest verify DIR',
    });
  }
  const chosen = await chooseAttacks(options);
  if (flagOption(options, 'list')) return listAttacks(context, chosen);
  if (!flagOption(options, 'hostile')) {
    throw new OrchestraError(
      'usage.invalid',
      'Say --hostile: this attacks the daemon that runs here',
      {
        hint: 'orchestra selftest --hostile; --list shows the attacks',
      },
    );
  }
  return attackAll(context, chosen, options);
};

async function chooseAttacks(options: Options): Promise<Chosen> {
  const { attacks } = await import('../selftest/attacks/index.ts');
  const group = choiceOption(options, 'group', groups);
  const only = textOption(options, 'only')?.split(',');
  const known = new Set(groups.flatMap((each) => attacks[each].map(({ id }) => id)));
  const unknown = only?.find((id) => !known.has(id));
  if (unknown !== undefined) {
    throw new OrchestraError('usage.invalid', `There is no attack ${unknown}`, {
      hint: 'orchestra selftest --list',
    });
  }
  const isChosen = (of: Group, { id }: Attack): boolean =>
    (group === undefined || of === group) && (only?.includes(id) ?? true);
  return Object.fromEntries(
    groups.map((of) => [of, attacks[of].filter((attack) => isChosen(of, attack))]),
  ) as unknown as Chosen;
}

function listAttacks({ print }: Context, chosen: Chosen): number {
  const all = groups.flatMap((group) => chosen[group].map((attack) => ({ group, ...attack })));
  if (print.json) {
    print.object({
      items: all.map(({ id, group, title, attack, expects }) => ({
        id,
        group,
        title,
        attack,
        expects,
      })),
    });
    return exitCodes.ok;
  }
  for (const line of table(all.map(({ id, title }) => [id, title]))) print.line(line);
  print.note(`${all.length} attacks`);
  return exitCodes.ok;
}

async function attackAll(context: Context, chosen: Chosen, options: Options): Promise<number> {
  const { Field } = await import('../selftest/field.ts');
  const client = await context.client();
  const policy = await selftestPolicy(client, textOption(options, 'runtime'));
  const stopped = new AbortController();
  let signalled: number | undefined;
  using _taken = context.interrupts.take((signal) => {
    signalled = signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated;
    context.print.note('stopping; the run that is open is cancelled');
    stopped.abort(new Error('interrupted'));
  });
  try {
    await using field = await Field.open({
      context,
      client,
      policy: policy.given,
      policyDocument: policy.document,
      signal: stopped.signal,
    });
    return await attackAndReport(context, client, field, chosen, options);
  } catch (error) {
    if (signalled !== undefined) return signalled;
    throw error instanceof OrchestraError ? error : asError(error, client);
  }
}

function asError(error: unknown, client: Client): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ECONNREFUSED' || code === 'ENOENT'
    ? connectionError(error, client.address)
    : error;
}

async function attackAndReport(
  context: Context,
  client: Client,
  field: Field,
  chosen: Chosen,
  options: Options,
): Promise<number> {
  const startedAt = new Date();
  const from = performance.now();
  const before = await client.call('auditHead');
  const sample = await firstRun(field);
  const outcomes = await runAttacks(field, chosen, listenerFor(context));
  const { verdict, exit } = verdictOn(outcomes);
  const head = await client.call('auditHead');
  const report: SelftestReport = {
    version: 1,
    verdict,
    exit_code: exit,
    started_at: startedAt.toISOString(),
    finished_at: new Date().toISOString(),
    duration_ms: Math.round(performance.now() - from),
    ...(await factsOf(client, sample)),
    chosen: chosenWords(options),
    counts: countsOf(outcomes),
    attacks: outcomes.map(({ durationMs, ...rest }) => ({ ...rest, duration_ms: durationMs })),
    audit: {
      origin: head.origin,
      first: before.size,
      last: head.size - 1,
      head: head.hash,
      runs: field.runs.map(({ run }) => run.id),
    },
  };
  const folder = await writeReport(context, client, report, options);
  say(context, report, folder);
  return exit;
}

/** A harmless task first: where that does not run, nothing that fails later would mean anything. */
async function firstRun(field: Field) {
  const sample = await field.play([{ id: 'harmless', script: 'began();' }]);
  const { run } = sample;
  if (run.state === 'succeeded') return sample;
  const why = [run.tasks[0]?.reason, ...run.reasons, run.reason].find((each) => each !== undefined);
  throw new OrchestraError(
    run.exitCode === exitCodes.violation ? 'policy.denied' : 'engine.failed',
    `A harmless task does not run here, so no attack can be judged: ${why ?? run.state}`,
    { hint: `orchestra show ${run.id}; orchestra doctor` },
  );
}

function listenerFor({ print }: Context) {
  const marks = {
    held: print.err.green('✔'),
    down: print.err.red('✗'),
    skipped: print.err.yellow('?'),
  };
  return {
    group: (group: Group, count: number) => print.note(`${groupTitles[group]}: ${count} attacks`),
    outcome: ({ id, outcome, title, happened }: Outcome) => {
      const text = `  ${marks[outcome]} ${id}  ${title}`;
      if (outcome === 'held') print.detail(text);
      else print.note(`${text}: ${safe(happened)}`);
    },
  };
}

function chosenWords(options: Options): string {
  const parts = ['group', 'only', 'runtime'].flatMap((name) => {
    const value = textOption(options, name);
    return value === undefined ? [] : [`${name} ${value}`];
  });
  return parts.length === 0 ? 'all attacks' : parts.join(', ');
}

async function writeReport(
  context: Context,
  client: Client,
  report: SelftestReport,
  options: Options,
): Promise<string> {
  const base = path.resolve(context.cwd, textOption(options, 'reportDir') ?? '.');
  const folder = path.join(base, `selftest-${report.started_at.replaceAll(/[-:]|\.\d+/g, '')}`);
  await mkdir(folder, { recursive: true });
  const contents = {
    'report.json': Buffer.from(`${JSON.stringify(report, null, 2)}\n`),
    'report.md': Buffer.from(markdownOf(report)),
  };
  const files = Object.entries(contents).map(([name, content]) => ({
    name,
    sha256: hash('sha256', content, 'hex'),
  }));
  const attestation = await client.call('attest', { body: { kind: 'selftest.hostile', files } });
  for (const [name, content] of Object.entries(contents)) {
    await writeFileFresh(path.join(folder, name), [content]);
  }
  const envelope = Buffer.from(`${JSON.stringify(attestation, null, 2)}\n`);
  await writeFileFresh(path.join(folder, 'attestation.json'), [envelope]);
  return folder;
}

function say({ print, cwd }: Context, report: SelftestReport, folder: string): void {
  const relative = path.relative(cwd, folder);
  const shown = relative.startsWith('..') ? folder : `./${relative}`;
  if (print.json) {
    print.object({ ...report, report_dir: folder });
    return;
  }
  const rows = groups.flatMap((group) => {
    const own = report.attacks.filter((each) => each.group === group);
    if (own.length === 0) return [];
    const { held, down, skipped } = countsOf(own);
    const rest = [down > 0 ? `${down} down` : '', skipped > 0 ? `${skipped} not made` : ''];
    return [[groupTitles[group], `${held} of ${own.length} held`, rest.filter(Boolean).join(', ')]];
  });
  for (const line of table(rows)) print.line(line);
  for (const each of report.attacks.filter(({ outcome }) => outcome !== 'held')) {
    const style = each.outcome === 'down' ? 'red' : 'yellow';
    print.line(`${print.out[style](each.outcome)}  ${each.id}  ${each.title}`);
    print.line(`      expected: ${each.expects}`);
    print.line(`      happened: ${safe(each.happened)}`);
  }
  const style = report.verdict === 'held' ? 'green' : report.verdict === 'down' ? 'red' : 'yellow';
  print.line(`${print.out[style](verdictWords[report.verdict])}   exit ${report.exit_code}`);
  print.line(`Report  ${safe(shown)}   check it: orchestra selftest verify ${safe(shown)}`);
}

/** Checks signature and digests here, then, where a daemon answers, that its log says the same. */
async function verifyReport(
  context: Context,
  place: string | undefined,
  options: Options,
): Promise<number> {
  if (place === undefined) {
    throw new OrchestraError('usage.invalid', 'Which report?', {
      hint: 'orchestra selftest verify DIR, the folder with report.json and attestation.json',
    });
  }
  const given = path.resolve(context.cwd, place);
  const isFolder = (await lstat(given).catch(() => undefined))?.isDirectory() === true;
  const folder = isFolder ? given : path.dirname(given);
  const [json, markdown, envelope] = await Promise.all(
    ['report.json', 'report.md', 'attestation.json'].map(async (name) => readBounded(folder, name)),
  );
  const files = { 'report.json': json ?? empty, 'report.md': markdown ?? empty };
  const { statement, key } = checkAttestation((envelope ?? empty).toString('utf8'), files);
  const report = SelftestReport.safeParse(JSON.parse((json ?? empty).toString('utf8')));
  if (!report.success) throw broken('report.json was signed, but is not a report of this version');
  const wanted = textOption(options, 'key');
  if (wanted !== undefined && wanted !== key) {
    throw broken(`it was signed by ${key}, not by ${wanted.slice(0, 80)}`);
  }
  const compared = await compareWithLog(context, statement.predicate.log, key);
  const { verdict, counts, product, machine } = report.data;
  if (context.print.json) {
    context.print.object({ intact: true, key, log: compared, statement, verdict, counts });
    return exitCodes.ok;
  }
  const { print } = context;
  print.line(`${print.out.green('OK')}  the report is as it was signed`);
  print.line(`  verdict   ${verdictWords[verdict]}: ${counts.held} of ${counts.attacks} held`);
  print.line(
    `  made by   orchestra ${safe(product.daemon)}, ${safe(machine.engine)}, kernel ${safe(machine.kernel)}`,
  );
  print.line(
    `  signed    ${safe(statement.predicate.signed_at)}, record ${statement.predicate.log.seq} of ${safe(statement.predicate.log.origin)}`,
  );
  print.line(`  key       ${key}${wanted === undefined ? '' : ', the one that was asked for'}`);
  print.line(`  log       ${compared}`);
  return exitCodes.ok;
}

const empty = Buffer.alloc(0);

async function compareWithLog(
  context: Context,
  log: { origin: string; seq: number; hash: string },
  key: string,
): Promise<string> {
  let client: Client;
  let origin: string;
  try {
    client = await context.client();
    ({ origin } = await client.call('auditHead'));
  } catch (error) {
    if (!(error instanceof OrchestraError) || error.code !== 'daemon.unreachable') throw error;
    return 'not compared: no daemon answers; compare the key with one that you know (--key)';
  }
  if (origin !== log.origin) {
    return 'not compared: the daemon here has another log; compare the key (--key)';
  }
  const found = await client.call('auditShow', { params: { seq: String(log.seq) } });
  const isSame = found.hash === log.hash && found.record.data['key'] === key;
  if (!isSame) throw broken('the log of this daemon does not know this signature');
  return 'the log of this daemon says the same';
}

async function readBounded(folder: string, name: string): Promise<Buffer> {
  const file = path.join(folder, name);
  const info = await lstat(file).catch(() => undefined);
  if (info?.isFile() !== true) {
    throw new OrchestraError('usage.invalid', `${file} is not there, or no file`, {
      hint: 'orchestra selftest verify DIR, the folder that the selftest wrote',
    });
  }
  if (info.size > reportBytesMax) throw broken(`${name} is larger than ${reportBytesMax} bytes`);
  return readFile(file);
}
