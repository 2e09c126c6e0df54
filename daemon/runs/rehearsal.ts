import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Finding, Plan } from '#contract/plan.ts';
import type { RecordData } from '#contract/records.ts';
import type { AdvertisedTool } from '#contract/tools.ts';
import { cutText } from '../base/text.ts';
import { findProgram } from '../tools/advertised/find-program.ts';
import { trialsMax } from '../tools/advertised/trial.ts';
import type { RunsDeps } from './deps.ts';
import type { ResolvedImage } from './images.ts';

type Rehearsal = RecordData<'plan.rehearsed'> & { findings: readonly Finding[] };

/** What an image was found to have. Throws `plan.impossible` where that could not be found out. */
export async function programsOf(
  { tools }: Pick<RunsDeps, 'tools'>,
  image: ResolvedImage,
): Promise<readonly AdvertisedTool[]> {
  try {
    return await tools.advertised(image);
  } catch (cause) {
    if (!(cause instanceof OrchestraError) || cause.code !== 'sandbox.mismatch') throw cause;
    throw new OrchestraError(
      'plan.impossible',
      `An autonomous run has to know what its image has: ${cause.message}`,
      { cause, ...(cause.hint === undefined ? {} : { hint: cause.hint }) },
    );
  }
}

/**
 * Every program of a plan: how it stands on the list of the user, and whether it starts at all, tried
 * with `--version` in a sandbox of the image without a workspace. What speaks against the plan comes
 * as findings; what is new speaks against nothing, it is asked for before its task begins.
 */
export async function rehearse(
  { tools }: Pick<RunsDeps, 'tools'>,
  { image, uid, signal }: { image: ResolvedImage; uid: number | undefined; signal: AbortSignal },
  { tasks }: Pick<Plan, 'tasks'>,
): Promise<{ programs: Rehearsal['programs']; findings: Finding[] }> {
  const first = new Map(
    tasks.toReversed().map(({ id, command }) => [command[0] ?? '', { task: id, command }]),
  );
  if (first.size > trialsMax) {
    const message = `it starts ${first.size} different programs, and ${trialsMax} can be tried`;
    return { programs: [], findings: [{ code: 'too_many', pointer: '/tasks', message }] };
  }
  const advertised = await tools.advertised(image);
  const found = [...first.values()].flatMap(
    ({ command }) => findProgram(command, advertised) ?? [],
  );
  const started = await tools.tryOut(image, found, signal);
  const findings: Finding[] = [];
  const programs: Rehearsal['programs'] = [];
  for (const [name, { task, command }] of first) {
    const tool = findProgram(command, advertised);
    const shown = cutText(name, 256);
    if (tool === undefined) {
      programs.push({ name: shown, standing: 'unlisted' });
      continue;
    }
    const starts = started.get(tool.path);
    programs.push({
      name: shown,
      binary: tool.binary,
      standing: tools.standing({ uid, image: image.id, command }).is,
      ...(starts === undefined ? {} : { started: starts }),
    });
    if (starts !== false) continue;
    const message = `${task}: ${tool.name} is in ${image.reference} and does not start there`;
    findings.push({ code: 'tool_missing', task, message });
  }
  return { programs, findings };
}

/** On record for a run, whatever came of it; a plan that is only shown leaves nothing. */
export async function recordRehearsal(
  { log }: Pick<RunsDeps, 'log'>,
  run: string | undefined,
  { plan, programs, findings }: { plan: Digest } & Pick<Rehearsal, 'programs' | 'findings'>,
): Promise<void> {
  if (run === undefined) return;
  await log.append({
    type: 'plan.rehearsed',
    run,
    outcome: findings.length === 0 ? 'ok' : 'failed',
    data: { plan, programs },
  });
}
