import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { RunView } from '#contract/run.ts';
import { checkHead, rememberHead } from '../audit-heads.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context } from '../context.ts';
import { flagOption } from '../options.ts';
import { Detached, driveRun, type Driven } from '../run/drive.ts';
import type { RunLinks } from '../run/links.ts';
import { runSettings, type RunSettings } from '../run/settings.ts';
import { showLive } from '../run/show-live.ts';
import { snapshotWorkspace } from '../run/snapshot.ts';
import { printSummary } from '../run/summary.ts';
import { writeRunFolder } from '../run/write-folder.ts';
import { safe } from '../terminal/clean.ts';

export const run: Command = async (context, [intent], options) => {
  const settings = await runSettings(context, options);
  const words = intent ?? intentOfPlan(settings);
  const client = await context.client();
  const snapshot = await snapshotWorkspace(context, client, settings.workspace);
  const body = { ...settings.submit, intent: words, snapshot };
  const { id } = await client.call('runSubmit', { body });
  if (flagOption(options, 'detach')) return detach(context, id);
  context.print.note(`Run   ${id}`);
  try {
    const show = showLive(context, settings.output);
    return await finish(context, client, settings, await driveRun(context, client, id, show));
  } catch (error) {
    if (!(error instanceof Detached)) throw error;
    context.print.warn(`left ${id} to itself; orchestra watch ${id} follows it`);
    if (context.print.json) context.print.object({ detached: { run: id, exit_code: error.exit } });
    return error.exit;
  }
};

/** What to do once a run is over: the folder, the memory of the log's head, the last words. */
async function finish(
  context: Context,
  client: Client,
  settings: RunSettings,
  { view, exit, links }: Driven,
): Promise<number> {
  const { print } = context;
  const folder = await folderOf(context, client, settings, view);
  const { intact, text } = await verdictOf(context, client, links);
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
  links: RunLinks,
): Promise<{ intact: boolean; text: string }> {
  if (!links.verdict.intact) return links.verdict;
  try {
    const check = await checkHead(context.env, client);
    if (!check.holds) {
      const cut = check.reason === 'rolled_back' || check.reason === 'changed';
      if (cut) return { intact: false, text: `BROKEN: ${check.detail}` };
      context.print.warn(`${check.detail}; see orchestra audit verify`);
    }
    await rememberHead(context.env, client, { isTemporary: context.globals.local });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    context.print.warn(`the head of the log was not compared: ${safe(error.message)}`);
  }
  return links.verdict;
}

// A folder that cannot be written spoils no run: it is said aloud, the daemon keeps its own copy.
async function folderOf(
  context: Context,
  client: Client,
  settings: RunSettings,
  view: RunView,
): Promise<string | undefined> {
  try {
    const base = settings.reportDir ?? path.join(context.cwd, 'runs');
    // A folder that the user named may lie behind the user's own links.
    const within = settings.reportDir ?? context.cwd;
    return await writeRunFolder(client, view, { base, within });
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    context.print.warn(`the folder of the run was not written: ${safe(error.message)}`);
    if (error.hint !== undefined) context.print.warn(`  ${error.hint}`);
    return undefined;
  }
}

function detach(context: Context, id: string): number {
  if (context.globals.local) {
    throw new OrchestraError(
      'usage.invalid',
      '--detach needs a daemon that stays; --local ends with the command',
    );
  }
  if (context.print.json) context.print.object({ id });
  else context.print.line(id);
  context.print.note(`orchestra watch ${id} follows it`);
  return 0;
}

function intentOfPlan(settings: RunSettings): string {
  const file = settings.submit.plan?.file;
  if (file !== undefined) return `Run ${file}`;
  throw new OrchestraError('usage.invalid', 'Nothing was asked for', {
    hint: 'orchestra run "Build and test", or --plan FILE',
  });
}

function relativeTo(cwd: string, folder: string): string {
  const relative = path.relative(cwd, folder);
  return relative.startsWith('..') ? folder : `./${relative}`;
}
