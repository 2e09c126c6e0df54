import { OrchestraError } from '#contract/errors.ts';
import type { Progress } from './progress.ts';

/** Progress as lines on stderr, each at once: whoever waits sees for what. */
export const sayProgress: Progress = (message) => {
  process.stderr.write(`· ${message}\n`);
};

/** Runs the body of a set-up program; an error becomes text with its remedy, and an exit code. */
export async function saying(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OrchestraError)) {
      process.stderr.write(`✗ ${error instanceof Error ? error.stack : String(error)}\n`);
      return 70;
    }
    process.stderr.write(`✗ ${error.message}\n`);
    for (const place of error.places) process.stderr.write(`    ${place.message}\n`);
    if (error.hint !== undefined) process.stderr.write(`Next  ${error.hint}\n`);
    return error.facts.exit;
  }
}
