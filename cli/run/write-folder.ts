import { lstat, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import { unwritable, writeFileFresh } from '../write-file.ts';
import { taskOutput } from './task-output.ts';

const documentBytesMax = 64 * 1024 * 1024;
// More logs than this are left in the daemon: `orchestra logs` has them all.
const logsMax = 1000;

/** Where the folders of runs are; below `within` nothing may be a link. */
export type FolderPlace = { base: string; within: string };

/** Makes the folder of a run where it is not there yet, and answers it. */
export async function makeRunFolder(id: string, { base, within }: FolderPlace): Promise<string> {
  const folder = path.join(base, id);
  await makeFolder(folder, within);
  return folder;
}

/** The run's newest checkpoint, whole and durable or as it was before. */
export async function writeCheckpoint(
  client: Client,
  id: string,
  folder: string,
  timeoutMs?: number,
): Promise<void> {
  const checkpoint = await client.call('runCheckpoint', {
    params: { id },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  const text = Buffer.from(`${JSON.stringify(checkpoint, null, 2)}\n`);
  await writeFileFresh(path.join(folder, 'checkpoint.json'), [text], {
    hint: elsewhere,
    durable: true,
  });
}

/**
 * Writes `<base>/<run>/` as the user who calls: report, plan, checkpoint, provenance, and the exact bytes of
 * every task's output (read them with `orchestra logs`, which makes them harmless). A workspace may
 * hold a link where the folder should be, so no link is followed below `within`, and every file is
 * written beside its place and then renamed into it. Answers the folder.
 */
export async function writeRunFolder(
  client: Client,
  view: RunView,
  place: FolderPlace,
): Promise<string> {
  const { within } = place;
  const folder = await makeRunFolder(view.id, place);
  await Promise.all([
    writeText(folder, 'report.md', client, view.id, 'runReport'),
    writeProvenance(client, view, folder),
  ]);
  if (view.plan !== undefined) {
    await writeText(folder, 'plan.json', client, view.id, 'runPlan');
    if (view.checkpoint !== undefined) await writeCheckpoint(client, view.id, folder);
  }
  const withOutput = view.tasks.filter((task) => task.output !== undefined).slice(0, logsMax);
  if (withOutput.length > 0) await makeFolder(path.join(folder, 'logs'), within);
  for (const task of withOutput) {
    const file = path.join(folder, 'logs', `${fileNameOf(task.id)}.log`);
    await replaceFile(file, bytesOf(client, view.id, task.id));
  }
  return folder;
}

/** A task's id as a file name: `:` becomes `.`, which no id holds; the rest is harmless by its form. */
function fileNameOf(id: string): string {
  if (!/^[a-z][a-z0-9:-]{0,63}$/.test(id)) {
    throw new OrchestraError('internal.bug', `The daemon named a task ${JSON.stringify(id)}`);
  }
  return id.replaceAll(':', '.');
}

async function writeText(
  folder: string,
  name: string,
  client: Client,
  id: string,
  endpoint: 'runReport' | 'runPlan',
): Promise<void> {
  const content = await client.content(endpoint, { params: { id }, bytesMax: documentBytesMax });
  await replaceFile(path.join(folder, name), [content]);
}

/** What is signed about its artifacts, a line each. */
async function writeProvenance(client: Client, view: RunView, folder: string): Promise<void> {
  const isDone = (state: string) => state === 'succeeded' || state === 'cached';
  const left = view.tasks.some(({ state, artifacts }) => isDone(state) && artifacts.length > 0);
  if (!left || view.closedAt === undefined) return;
  try {
    const { envelopes } = await client.call('runProvenance', { params: { id: view.id } });
    const lines = envelopes.map((envelope) => Buffer.from(`${JSON.stringify(envelope)}\n`));
    await replaceFile(path.join(folder, 'provenance.jsonl'), lines);
  } catch (error) {
    // An older daemon has none to give; and content that is gone does not cost the report.
    const codes: readonly string[] = ['route.unknown', 'blob.unknown', 'artifact.unknown'];
    if (!(error instanceof OrchestraError) || !codes.includes(error.code)) throw error;
  }
}

async function* bytesOf(client: Client, run: string, task: string): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of taskOutput(client, run, task)) yield bytes;
}

/** Makes a folder; what is below `within` and there already must be a folder, not a link to one. */
async function makeFolder(folder: string, within: string): Promise<void> {
  const relative = path.relative(within, folder);
  if (relative.startsWith('..') || path.isAbsolute(relative)) {
    throw new Error(`${folder} is not below ${within}`);
  }
  await mkdir(within, { recursive: true }).catch((error: unknown) => {
    throw unwritable(within, error, elsewhere);
  });
  let at = within;
  for (const part of relative.split(path.sep)) {
    at = path.join(at, part);
    await mkdir(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw unwritable(at, error, elsewhere);
    });
    const info = await lstat(at);
    if (!info.isDirectory()) {
      throw new OrchestraError('workspace.invalid', `${at} is in the way: not a folder`, {
        hint: info.isSymbolicLink()
          ? 'it is a link, and links are not followed here; remove it or use --report-dir'
          : 'remove it or use --report-dir',
      });
    }
  }
}

async function replaceFile(
  file: string,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  await writeFileFresh(file, content, { hint: elsewhere });
}

const elsewhere = 'use --report-dir to write the folder of the run elsewhere';
