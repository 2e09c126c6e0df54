import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { framesType } from '#contract/output-frames.ts';
import { RunCheckpoint } from '#contract/run.ts';
import { concurrencyFor } from '../../runs/accept.ts';
import { explainTask } from '../../runs/explain.ts';
import { untilClosed } from '../../runs/events.ts';
import { forecast } from '../../runs/forecast.ts';
import { runReport } from '../../runs/run-report.ts';
import { outputLines } from '../../runs/output-lines.ts';
import { outputOf } from '../../runs/task-output.ts';
import type { Routes } from '../app.ts';
import { prefers } from '../accept.ts';
import { sendBytes } from '../send-bytes.ts';
import { bytesResponse, eventStream } from '../streams.ts';
import type { RouteDeps } from './deps.ts';

type Part = Pick<
  Routes,
  | 'planMake'
  | 'planCompare'
  | 'runSubmit'
  | 'runList'
  | 'runShow'
  | 'runEvents'
  | 'runCancel'
  | 'runContinue'
  | 'runImport'
  | 'runPause'
  | 'runPlan'
  | 'runCheckpoint'
  | 'runReport'
  | 'taskLog'
  | 'taskReceipt'
>;

export function runRoutes({ runs, runsDeps, access }: RouteDeps): Part {
  return {
    planMake: async ({ body, actor, signal, caller }) => {
      access.brought.assert(caller, body.snapshot);
      const accepted = await runs.plan(body, actor, signal);
      const { made, image, policy, advice } = accepted;
      const { snapshot, cache = true } = body;
      const concurrency = concurrencyFor(body, policy);
      const asked = { snapshot, concurrency, cache };
      return {
        digest: made.digest,
        plan: { ...made.plan },
        clamped: [...made.clamped],
        summary: [
          `${made.plan.tasks.length} tasks in ${image.reference} (${image.origin}, ${image.id})`,
          `policy ${policy.name} ${policy.digest}`,
          'network none; nothing has run',
        ],
        forecast: await forecast(runsDeps, accepted, asked, signal),
        ...(advice.pitfalls.length === 0 ? {} : { pitfalls: advice.pitfalls }),
        ...(made.tried === undefined ? {} : { tried: [...made.tried] }),
      };
    },
    planCompare: async ({ body, actor, signal, caller }) => {
      access.brought.assert(caller, body.snapshot);
      return runs.compare(body, actor, signal);
    },
    runSubmit: async ({ body, actor, caller }) => {
      access.brought.assert(caller, body.snapshot);
      return { id: await runs.submit(body, actor) };
    },
    runList: ({ query, caller }) => runs.list(query, caller),
    runShow: ({ param }) => runs.view(param('id')),
    runEvents: ({ param, incoming, signal }) => {
      const run = runs.find(param('id'));
      const last = Number(incoming.headers['last-event-id'] ?? Number.NaN);
      const from = Number.isSafeInteger(last) && last >= 0 ? last + 1 : run.audit.first;
      return Promise.resolve(eventStream(untilClosed(runsDeps.log, run.id, from, signal)));
    },
    runCancel: async ({ param, body, actor }) => ({
      id: await runs.cancel(param('id'), body.reason, actor),
    }),
    runContinue: ({ param, body, actor }) => runs.goOn(param('id'), body, actor),
    runImport: ({ body, actor }) => runs.importRun(body, actor),
    runPause: async ({ param, body, actor }) => ({
      id: await runs.pause(param('id'), body, actor),
    }),
    runPlan: async ({ param }) => {
      const { plan, id } = runs.find(param('id'));
      if (plan === undefined) throw new OrchestraError('run.unknown', `${id} has no plan`);
      return blobResponse(runsDeps.blobs, plan, 'application/json');
    },
    runCheckpoint: async ({ param }) => {
      const { checkpoint, id } = runs.find(param('id'));
      if (checkpoint === undefined) {
        throw new OrchestraError('run.unknown', `${id} has no checkpoint yet`);
      }
      const bytes = await runsDeps.blobs.read(checkpoint, { maxBytes: 16 * 1024 * 1024 });
      return RunCheckpoint.parse(JSON.parse(bytes.toString('utf8')));
    },
    runReport: async ({ param }) => {
      const markdown = await runReport(runs, runsDeps, param('id'));
      return new Response(markdown, {
        headers: { 'content-type': 'text/markdown; charset=utf-8' },
      });
    },
    taskReceipt: async ({ param, query }) =>
      explainTask(runs, runsDeps, { run: param('id'), task: param('task'), ...query }),
    taskLog: async ({ param, query, incoming, outgoing, signal }) => {
      const frames = await outputOf(runs, runsDeps, {
        run: param('id'),
        task: param('task'),
        follow: query.follow,
        signal,
      });
      const asFrames = prefers(incoming.headers.accept, framesType);
      return sendBytes(outgoing, asFrames ? frames : outputLines(frames), {
        'content-type': asFrames ? framesType : 'application/x-ndjson',
        vary: 'accept',
      });
    },
  };
}

export async function blobResponse(
  blobs: RouteDeps['runsDeps']['blobs'],
  digest: Digest,
  type: string,
): Promise<Response> {
  const size = await blobs.size(digest);
  return bytesResponse(await blobs.open(digest), {
    'content-type': type,
    ...(size === undefined ? {} : { 'content-length': String(size) }),
  });
}
