import path from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { ImportRun, type ContinueRun } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context, Options } from '../context.ts';
import { countOption, durationOption, flagOption, textOption } from '../options.ts';
import { readTextFile } from '../read-text.ts';
import { goOn, type Earlier, type GoOnOptions } from '../run/go-on.ts';
import { concurrencyBounds, policySetting, showSettings } from '../run/settings.ts';
import { checkDetach } from '../run/to-the-end.ts';

/** What failed, was cut off or paused goes on: the last run, where none is named. */
export const resume: Command = async (context, [run], options) => {
  const file = textOption(options, 'from');
  if (file === undefined) return continueRun(context, run ?? '@last', { mode: 'resume' }, options);
  if (run !== undefined) {
    throw new OrchestraError('usage.invalid', 'A run and --from FILE exclude each other');
  }
  return fromFile(context, file, options);
};

/** One task of an earlier run again, and what depends on it. */
export const retry: Command = (context, [run = '', task = ''], options) =>
  continueRun(context, run, { mode: 'retry', task }, options);

/** Another plan for what is left of a run that failed, in a run that goes on from it. */
export const replan: Command = (context, [run = ''], options) => {
  const [task, hint] = [textOption(options, 'task'), textOption(options, 'hint')];
  const more = { ...(task && { task }), ...(hint && { hint }) };
  return continueRun(context, run, { mode: 'replan', ...more }, options);
};

/** An earlier run again from one task on. */
export const fork: Command = (context, [run = ''], options) => {
  const task = textOption(options, 'from');
  if (task === undefined) {
    throw new OrchestraError('usage.invalid', 'From which task?', {
      hint: `orchestra fork ${run} --from TASK`,
    });
  }
  return continueRun(context, run, { mode: 'fork', task }, options);
};

async function continueRun(
  context: Context,
  reference: string,
  from: Pick<ContinueRun, 'mode' | 'task' | 'hint'>,
  options: Options,
): Promise<number> {
  if (textOption(options, 'policy') !== undefined) {
    throw new OrchestraError('usage.invalid', '--policy belongs to --from FILE', {
      hint: 'a run goes on under the policy that it began with, as that is today',
    });
  }
  const concurrency = countOption(options, 'concurrency', concurrencyBounds);
  const timeoutMs = durationOption(options, 'timeout');
  const said = await goOnOptions(context, options);
  const client = await context.client();
  // From here on by its id: `@last` may soon be another one.
  const view = await client.call('runShow', { params: { id: reference } });
  if (view.paused !== undefined && (concurrency !== undefined || timeoutMs !== undefined)) {
    context.print.warn(`${view.id} was only paused: it keeps its concurrency and its timeout`);
  }
  return goOn(
    context,
    client,
    {
      id: view.id,
      view,
      command: ['orchestra', ...wordsOf(from, view.id)].join(' '),
      ask: (how) =>
        client.call('runContinue', {
          params: { id: view.id },
          body: {
            ...from,
            ...how,
            ...(concurrency === undefined ? {} : { concurrency }),
            ...(timeoutMs === undefined ? {} : { timeoutMs }),
          },
        }),
    },
    said,
  );
}

function wordsOf({ mode, task = '' }: Pick<ContinueRun, 'mode' | 'task'>, id: string): string[] {
  if (mode === 'replan') return ['replan', id];
  if (mode === 'fork') return ['fork', id, '--from', task];
  return mode === 'retry' ? ['retry', id, task] : ['resume', id];
}

async function fromFile(context: Context, file: string, options: Options): Promise<number> {
  for (const name of ['concurrency', 'timeout']) {
    if (textOption(options, name) === undefined) continue;
    throw new OrchestraError('usage.invalid', `--${name} does not go with --from FILE`);
  }
  const checkpoint = await readCheckpoint(context, file);
  const policy = await policySetting(context, options);
  const said = await goOnOptions(context, options);
  const client = await context.client();
  return goOn(context, client, imported(client, file, checkpoint, policy), said);
}

function imported(
  client: Client,
  file: string,
  checkpoint: ImportRun['checkpoint'],
  policy: ImportRun['policy'],
): Earlier {
  const id = checkpoint['run_id'];
  return {
    id: typeof id === 'string' ? id : file,
    view: undefined,
    command: `orchestra resume --from ${file}`,
    ask: (how) =>
      client.call('runImport', {
        body: { checkpoint, ...(policy === undefined ? {} : { policy }), ...how },
      }),
  };
}

const checkpointBytesMax = 64 * 1024 * 1024;

/** As far as it can be judged here; whether it is genuine is the daemon's word. */
async function readCheckpoint(context: Context, file: string): Promise<ImportRun['checkpoint']> {
  const limit = { bytesMax: checkpointBytesMax, code: 'usage.invalid', shown: file } as const;
  let value: unknown;
  try {
    value = JSON.parse(await readTextFile(path.resolve(context.cwd, file), limit));
  } catch (cause) {
    if (cause instanceof OrchestraError) throw cause;
    const why = cause instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    throw new OrchestraError('usage.invalid', `The checkpoint ${file} ${why}`, {
      hint: 'name a runs/<id>/checkpoint.json',
      cause,
    });
  }
  const parsed = ImportRun.shape.checkpoint.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new OrchestraError('usage.invalid', `The file ${file} is no checkpoint of a run`, {
    hint: z.prettifyError(parsed.error),
  });
}

/** Before the daemon is there: with `--local` asking for it starts one. */
async function goOnOptions(context: Context, options: Options): Promise<GoOnOptions> {
  checkDetach(context, flagOption(options, 'detach'));
  return {
    again: flagOption(options, 'again'),
    dryRun: flagOption(options, 'dryRun'),
    isDetached: flagOption(options, 'detach'),
    show: await showSettings(context, options),
  };
}
