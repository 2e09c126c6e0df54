import { OrchestraError } from '#contract/errors.ts';
import type { RunsDeps } from './deps.ts';
import { hintsByTask } from './hints.ts';
import { reportOf } from './report.ts';
import type { Runs } from './runs.ts';
import type { RunFacts } from './state.ts';
import { personalOf, viewOf } from './view.ts';

/** The report of a run, its part of the log read again from disk for the verdict. */
export async function runReport(runs: Runs, deps: RunsDeps, reference: string): Promise<string> {
  const run = runs.find(reference);
  const plan = await runs.planOf(run);
  const { kind, version, apiVersion } = deps.engineFacts;
  const { verdict, runtimes } = await readAgain(run, deps);
  return reportOf({
    run: viewOf(run, plan, await hintsByTask(run, deps.blobs), await personalOf(deps.vault, run)),
    plan,
    clamped: run.clamped,
    engine: `${kind} ${version}, API ${apiVersion}, runtime ${runtimes}`,
    audit: {
      verdict,
      head: deps.log.head.hash,
      size: deps.log.size,
    },
  });
}

async function readAgain(
  run: RunFacts,
  deps: RunsDeps,
): Promise<{ verdict: string; runtimes: string }> {
  const { first, last, records } = run.audit;
  const runtimes = new Set<string>();
  const named = () => (runtimes.size === 0 ? 'of no container' : [...runtimes].join(', '));
  let found = 0;
  try {
    for await (const { record } of deps.log.read({ from: first, to: last + 1 })) {
      if (record.run !== run.id) continue;
      found += 1;
      const { settings } = record.data as { settings?: { runtime?: string } };
      if (record.type === 'sandbox.receipt' && settings?.runtime !== undefined) {
        runtimes.add(settings.runtime);
      }
    }
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    return { verdict: `BROKEN, ${error.message}`, runtimes: named() };
  }
  const verdict =
    found === records
      ? 'these records were read again and each one follows from the one before'
      : `BROKEN, ${records} records were written and ${found} are there`;
  return { verdict, runtimes: named() };
}
