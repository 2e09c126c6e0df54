import { recordCoverage } from '#contract/coverage.ts';
import { recordTypes } from '#contract/records.ts';
import type { Command } from '../context.ts';
import { table } from '../terminal/text.ts';

/** Every type of record that this version knows, with the test that makes a daemon emit it. */
export const auditCoverage: Command = ({ print }) => {
  const rows = Object.keys(recordTypes)
    .toSorted()
    .map((type) => {
      const [file, test] = recordCoverage[type] ?? [];
      return { type, ...(file === undefined ? {} : { file, test }) };
    });
  const untested = rows.filter(({ file }) => file === undefined).length;
  if (print.json) {
    print.object({ types: rows, untested });
    return Promise.resolve(0);
  }
  for (const line of table(
    rows.map(({ type, file = '(none)', test = '' }) => [type, file, test]),
  )) {
    print.line(line);
  }
  print.note(`${rows.length} types, ${rows.length - untested} with a test`);
  return Promise.resolve(0);
};
