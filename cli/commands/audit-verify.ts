import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import { checkHead, knownHead, rememberHead, type AuditHead } from '../audit-heads.ts';
import type { Command, Context, Options } from '../context.ts';
import { CheckpointStore } from '../memory/store.ts';
import { flagOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import type { Verdict } from '../../verifier/verdict.ts';
import type { PathOptions } from '../../verifier/verify-path.ts';

/**
 * Verifies the log: by the daemon, which reads its own disk, or here on a copy, an extract or a proof.
 * Exit 0 when it is verified, 0 with a warning when it is sound but incomplete (with `--strict` 4), 4 when it is
 * broken, 1 when it could not be checked.
 */
export const auditVerify: Command = async (context, [dir], options) =>
  dir === undefined ? verifyByDaemon(context, options) : verifyHere(context, dir, options);

async function verifyByDaemon(context: Context, options: Options): Promise<number> {
  const { print } = context;
  const client = await context.client();
  // What was seen before is kept out of the daemon's reach, and vouches for what it covers.
  const { origin } = await client.call('auditHead');
  const seen = await new CheckpointStore(context.env).newest(origin);
  const body = seen ? { keys: [seen.vkey], checkpoints: [seen.note] } : {};
  const verdict = await client.call('auditVerify', { body, timeoutMs: 60 * 60_000 });
  const check = await checkHead(context.env, client);
  const accepted = flagOption(options, 'acceptNewLog');
  const isReplaced = !check.holds && !(check.reason === 'other_log' && accepted);
  const exit = isReplaced
    ? exitCodes.violation
    : exitOfVerdict(verdict.exit_code, flagOption(options, 'strict'));
  if (exit === 0) {
    const isTemporary = context.globals.local;
    await rememberHead(context.env, client, { acceptNewLog: accepted, isTemporary });
  }
  const memory = check.holds
    ? { holds: true, known: check.known }
    : { holds: false, reason: check.reason, detail: check.detail };
  if (print.json) {
    print.object({ ...verdict, exit_code: exit, memory });
    return exit;
  }
  printVerdict(context, verdict as unknown as Partial<Verdict>, exit);
  if (!check.holds) {
    print.line(print.out.red(`BROKEN: ${check.detail}`));
    if (check.reason === 'other_log') {
      print.line('Next  if it was replaced on purpose: orchestra audit verify --accept-new-log');
    }
  } else if (check.known !== undefined) {
    print.line(`  memory    as it was when last seen here, at ${check.known.size} records`);
  } else {
    print.line('  memory    seen for the first time; from now on a cut tail would be noticed');
  }
  return exit;
}

async function verifyHere(context: Context, named: string, options: Options): Promise<number> {
  const { verifyPath } = await import('../../verifier/verify-path.ts');
  const target = path.resolve(context.cwd, named);
  const said = await saidOptions(context, options);
  let verdict = await verifyPath(target, said);
  // Which log it is, only it says itself: so what is known of it is compared in a second go.
  const known = await knownOf(context, verdict.origin, said);
  if (known !== undefined) verdict = await verifyPath(target, { ...said, ...known });
  const exit = exitOfVerdict(verdict.exit, flagOption(options, 'strict'));
  if (context.print.json) context.print.object({ ...verdict, exit_code: exit });
  else printVerdict(context, verdict, exit);
  return exit;
}

async function saidOptions({ cwd }: Context, options: Options): Promise<PathOptions> {
  const fileOption = async (name: string) => {
    const file = textOption(options, name);
    return file === undefined ? undefined : readGiven(path.resolve(cwd, file), file);
  };
  const checkpoint = await fileOption('checkpoint');
  return {
    expectedHead: headOption(options),
    keys: textOption(options, 'key')?.split(','),
    checkpoints: checkpoint && [checkpoint],
    policy: await fileOption('witnesses'),
    record: await fileOption('record'),
  };
}

/** What this user saw of the log before, where nothing was said that counts for more. */
async function knownOf(
  { env }: Context,
  origin: string | undefined,
  said: PathOptions,
): Promise<PathOptions | undefined> {
  if (origin === undefined || said.keys !== undefined || said.checkpoints !== undefined) {
    return undefined;
  }
  const head = said.expectedHead ?? (await knownHead(env, origin));
  const seen = await new CheckpointStore(env).newest(origin);
  if (head === undefined && seen === undefined) return undefined;
  return { expectedHead: head, ...(seen && { keys: [seen.vkey], checkpoints: [seen.note] }) };
}

async function readGiven(file: string, said: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new OrchestraError('usage.invalid', `${said} cannot be read`, { cause });
  }
}

/** The verifier's own codes: 0 verified, 1 tampered, 2 could not check, 3 sound but incomplete. */
function exitOfVerdict(exit: number, strict: boolean): number {
  if (exit === 0) return exitCodes.ok;
  if (exit === 2) return exitCodes.config;
  if (exit === 3) return strict ? exitCodes.violation : exitCodes.ok;
  return exitCodes.violation;
}

const words: Readonly<Record<string, string>> = {
  verified: 'OK',
  tampered: 'BROKEN',
  unchecked: 'COULD NOT BE CHECKED',
  incomplete: 'SOUND BUT INCOMPLETE',
};

function printVerdict({ print }: Context, verdict: Partial<Verdict>, exit: number): void {
  const style = exit === 0 ? (verdict.verdict === 'verified' ? 'green' : 'yellow') : 'red';
  const word = words[verdict.verdict ?? ''] ?? String(verdict.verdict);
  print.line(`${print.out[style](safe(word))}  ${verdict.records ?? 0} records`);
  if (verdict.head !== undefined) {
    print.line(`  head      ${verdict.head.size} ${safe(verdict.head.hash)}`);
  }
  if (verdict.reach !== undefined) print.line(`  reach     ${safe(verdict.reach)}`);
  for (const { reason, file, offset, seq, detail } of verdict.findings ?? []) {
    const where = file === '' ? '' : ` ${safe(file)}, byte ${offset}, record ${seq}:`;
    print.line(`  ${safe(reason)}${where} ${safe(detail)}`);
  }
  for (const note of verdict.notes ?? []) print.line(`  note      ${safe(note)}`);
  for (const note of verdict.evidence ?? []) {
    print.line('  signed');
    for (const line of note.trimEnd().split('\n')) print.line(`    ${safe(line)}`);
  }
}

function headOption(options: Options): AuditHead | undefined {
  const text = textOption(options, 'head');
  if (text === undefined) return undefined;
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  if (match === null) {
    throw new OrchestraError('usage.invalid', '--head is written SIZE:HASH', {
      hint: 'as `orchestra audit verify` prints it in its line "head"',
    });
  }
  return { size: Number(match[1]), hash: match[2] ?? '' };
}
