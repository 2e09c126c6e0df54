import type { AnchoringView, AnchorTarget } from '#contract/anchoring.ts';
import { exitCodes } from '#contract/errors.ts';
import { formatDuration } from '#contract/units.ts';
import type { Command, Context } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { pad } from '../terminal/text.ts';

/** Who outside of this machine holds how much of the log. Exit 4 where that is too little. */
export const auditWitnesses: Command = async (context) => {
  const client = await context.client();
  return show(context, await client.call('auditWitnesses'));
};

/** The same after everybody was given the newest state. */
export const auditAnchor: Command = async (context) => {
  const client = await context.client();
  const waitMs = 30_000;
  const view = await client.call('auditAnchor', { body: { waitMs }, timeoutMs: 2 * waitMs });
  const exit = show(context, view);
  const isBehind = view.targets.length === 0 || view.targets.every(({ failures }) => failures > 0);
  return isBehind ? exitCodes.violation : exit;
};

function show({ print }: Context, view: AnchoringView): number {
  const exit = view.limit?.passed === true ? exitCodes.violation : exitCodes.ok;
  if (print.json) {
    print.object({ ...view, exit_code: exit });
    return exit;
  }
  const { targets, quorum, unanchored, limit } = view;
  print.line(`${view.records} records, ${view.signed} signed, ${view.anchored} held elsewhere`);
  if (view.witnessKey !== undefined) print.line(`  key for witnesses  ${safe(view.witnessKey)}`);
  if (quorum !== undefined) {
    print.line(
      `  quorum   ${quorum.need} of ${quorum.of} witnesses cosigned ${quorum.size} records`,
    );
  }
  if (unanchored.records > 0) {
    const age = formatDuration(unanchored.ageMs);
    print.line(`  alone    ${unanchored.records} records are held here only, for ${age} at most`);
  }
  if (limit?.passed === true) {
    const what = limit.action === 'block' ? 'no run is taken until others hold them' : 'too many';
    print.line(print.out.red(`  limit    passed: ${what}`));
  }
  if (targets.length === 0) print.line('  nobody is told: see docs/CONFIG.md, Anchoring');
  const wide = Math.max(0, ...targets.map(({ name }) => name.length));
  for (const target of targets) print.line(`  ${lineOf(target, view, wide)}`);
  return exit;
}

function lineOf(target: AnchorTarget, { signed }: AnchoringView, wide: number): string {
  const { kind, name, size, at, failure, failures, state } = target;
  const held = at === undefined ? 'nothing yet' : `${size} records at ${at}`;
  const lag = Math.max(0, signed - size);
  const behind = lag === 0 ? '' : `, ${lag} behind`;
  const trouble =
    failure === undefined
      ? ''
      : `; ${failures} ${failures === 1 ? 'try' : 'tries'} failed: ${failure.reason} ${failure.detail}`;
  const busy = state === 'sending' ? '; on its way' : '';
  return `${pad(kind, 7)}  ${pad(safe(name), wide)}  ${held}${behind}${safe(trouble)}${busy}`;
}
