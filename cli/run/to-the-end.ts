import path from 'node:path';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { RunView } from '#contract/run.ts';
import { checkHead, rememberHead } from '../audit-heads.ts';
import type { Client } from '../client/client.ts';
import type { Context } from '../context.ts';
import { watchLog } from '../memory/watch-log.ts';
import { safe } from '../terminal/clean.ts';
import { CheckpointFile } from './checkpoint-file.ts';
import { Detached, driveRun, type Driven } from './drive.ts';
import type { RunLinks } from './links.ts';
import { showLive, type OutputForm } from './show-live.ts';
import { fetchReceipt, writeReceipt } from './receipt.ts';
import { NeedsPeople } from '../requests/asker.ts';
import type { PeopleSettings } from '../requests/settings.ts';
import { printSummary } from './summary.ts';
import { writeRunFolder, type FolderPlace } from './write-folder.ts';

export type HowShown = {
  output: OutputForm | undefined;
  reportDir: string | undefined;
  people: PeopleSettings;
};

/**
 * Follows a run that this command set going until it is over, keeps its folder, says how it ended
 * and answers the exit code. A run that is left to itself on the way has its checkpoint there.
 */
export async function toTheEnd(
  context: Context,
  client: Client,
  id: string,
  { output, reportDir, people }: HowShown,
): Promise<number> {
  const place = {
    base: reportDir ?? path.join(context.cwd, 'runs'),
    // A folder that the user named may lie behind the user's own links.
    within: reportDir ?? context.cwd,
  };
  const checkpoint = new CheckpointFile(client, id, place);
  try {
    const show = showLive(context, output);
    const driven = await driveRun(context, client, id, show, {
      people,
      onRecord: (record) => checkpoint.see(record),
    });
    await checkpoint.settled();
    return await finish(context, client, place, driven);
  } catch (error) {
    const trouble = await checkpoint.settled();
    if (error instanceof NeedsPeople) return waitsForPeople(context, id, error);
    if (!(error instanceof Detached)) {
      sayItGoesOn(context, id, error);
      throw error;
    }
    if (trouble instanceof Error) {
      context.print.warn(`its checkpoint was not written: ${safe(trouble.message)}`);
    }
    return leftAlone(context, id, error);
  }
}

/** A daemon that is away takes its runs up again when it is back; so may whoever followed one. */
function sayItGoesOn({ print, globals }: Context, id: string, error: unknown): void {
  if (!(error instanceof OrchestraError) || error.code !== 'daemon.unreachable') return;
  const how = globals.local ? `orchestra --local resume ${id}` : `orchestra watch ${id}`;
  print.warn(`${id} goes on when the daemon is back: ${how}`);
}

/** Says that a run is left waiting for people, and answers the exit code. */
export function waitsForPeople(
  { print, globals }: Context,
  id: string,
  { exit }: NeedsPeople,
): number {
  if (print.json) print.object({ waits: { run: id, exit_code: exit } });
  else {
    print.warn(`${id} waits for people, and nobody is here to ask; it stays open`);
    const then = globals.local ? `orchestra --local resume ${id}` : `orchestra wait ${id}`;
    print.warn(`afterwards: ${then}   exit ${exit}, not approved`);
  }
  return exit;
}

/** Says that a run goes on by itself, and answers the exit code. */
export function leftAlone({ print }: Context, id: string, { exit }: Detached): number {
  print.warn(`left ${id} to itself; orchestra watch ${id} follows it`);
  if (print.json) print.object({ detached: { run: id, exit_code: exit } });
  return exit;
}

/** For `--detach`: the id, and nothing else. */
export function detach({ print }: Context, id: string): number {
  if (print.json) print.object({ id });
  else print.line(id);
  print.note(`orchestra watch ${id} follows it`);
  return 0;
}

/** Refuses `--detach` where no daemon stays, before anything is started. */
export function checkDetach({ globals }: Context, isDetached: boolean): void {
  if (!isDetached || !globals.local) return;
  throw new OrchestraError(
    'usage.invalid',
    '--detach needs a daemon that stays; --local ends with the command',
  );
}

/** What to do once a run is over: the folder, the memory of the log's head, the last words. */
async function finish(
  context: Context,
  client: Client,
  place: FolderPlace,
  { view, exit, links }: Driven,
): Promise<number> {
  const { print } = context;
  const folder = await folderOf(context, client, place, view);
  const { intact, text } = await verdictOf(context, client, { links, folder });
  const code = intact ? exit : 4;
  const reportDir = folder === undefined ? undefined : relativeTo(context.cwd, folder);
  if (print.json) {
    const reason = view.reason ?? view.reasons[0];
    print.object({
      result: {
        exit_code: code,
        ...(reason === undefined ? {} : { reason }),
        run: view,
        audit: { intact, text },
        ...(folder === undefined ? {} : { report_dir: folder }),
      },
    });
  } else {
    await printSummary(context, client, { view, exit: code, reportDir, verdict: text });
  }
  return code;
}

// The links of the run, then the log against what was seen of it before.
async function verdictOf(
  context: Context,
  client: Client,
  { links, folder }: { links: RunLinks; folder: string | undefined },
): Promise<{ intact: boolean; text: string }> {
  if (!links.verdict.intact) return links.verdict;
  try {
    return (await receiptOf(context, client, { links, folder })) ?? links.verdict;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error instanceof OrchestraError && error.facts.exit === exitCodes.violation) {
      if (error.hint !== undefined) context.print.warn(safe(error.hint));
      return { intact: false, text: error.message };
    }
    context.print.warn(`the log was not compared: ${safe(error.message)}`);
  }
  return links.verdict;
}

/** What the user can show of the run later; where nobody signs the log, only its head is kept. */
async function receiptOf(
  { env, print, globals }: Context,
  client: Client,
  { links, folder }: { links: RunLinks; folder: string | undefined },
): Promise<{ intact: boolean; text: string } | undefined> {
  const { closing, verdict } = links;
  const seen = await watchLog({ env, print, client, isTemporary: globals.local });
  if (seen === undefined) {
    const check = await checkHead(env, client);
    if (!check.holds) {
      const cut = check.reason === 'rolled_back' || check.reason === 'changed';
      if (cut) return { intact: false, text: `BROKEN: ${check.detail}` };
      print.warn(`${check.detail}; see orchestra audit verify`);
    }
    await rememberHead(env, client, { isTemporary: globals.local });
    return undefined;
  }
  if (closing === undefined) return undefined;
  const { proof, size } = await fetchReceipt(client, closing, seen);
  if (folder !== undefined) await writeReceipt(folder, closing.line, proof);
  // What covers the run is known here from now on.
  await watchLog({ env, print, client, isTemporary: globals.local });
  return { intact: true, text: `${verdict.text}; signed at ${size} records` };
}

// A folder that cannot be written spoils no run: it is said aloud, the daemon keeps its own copy.
async function folderOf(
  context: Context,
  client: Client,
  place: FolderPlace,
  view: RunView,
): Promise<string | undefined> {
  try {
    return await writeRunFolder(client, view, place);
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    context.print.warn(`the folder of the run was not written: ${safe(error.message)}`);
    if (error.hint !== undefined) context.print.warn(`  ${error.hint}`);
    return undefined;
  }
}

function relativeTo(cwd: string, folder: string): string {
  const relative = path.relative(cwd, folder);
  return relative.startsWith('..') ? folder : `./${relative}`;
}
