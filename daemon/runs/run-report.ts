import { OrchestraError } from '#contract/errors.ts';
import type { RunsDeps } from './deps.ts';
import { reportOf } from './report.ts';
import type { Runs } from './runs.ts';
import type { RunFacts } from './state.ts';
import { viewOf } from './view.ts';

/** The report of a run, its part of the log read again from disk for the verdict. */
export async function runReport(runs: Runs, deps: RunsDeps, reference: string): Promise<string> {
  const run = runs.find(reference);
  const plan = await runs.planOf(run);
  const { kind, version, apiVersion } = deps.engineFacts;
  return reportOf({
    run: viewOf(run, plan),
    plan,
    clamped: run.clamped,
    engine: `${kind} ${version}, API ${apiVersion}, runtime ${deps.runtime}`,
    audit: {
      verdict: await verdictOn(run, deps),
      head: deps.log.head.hash,
      size: deps.log.size,
    },
  });
}

async function verdictOn(run: RunFacts, deps: RunsDeps): Promise<string> {
  const { first, last, records } = run.audit;
  let found = 0;
  try {
    for await (const { record } of deps.log.read({ from: first, to: last + 1 })) {
      if (record.run === run.id) found += 1;
    }
  } catch (error) {
    if (error instanceof OrchestraError) return `BROKEN, ${error.message}`;
    throw error;
  }
  if (found !== records) return `BROKEN, ${records} records were written and ${found} are there`;
  return 'these records were read again and each one follows from the one before';
}
