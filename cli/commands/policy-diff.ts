import path from 'node:path';
import { exitCodes } from '#contract/errors.ts';
import type { DiffExample, PolicyDiff, PolicyReference } from '#contract/policy-tools.ts';
import { policyBytesMax } from '#contract/policy.ts';
import type { Command, Context } from '../context.ts';
import { flagOption } from '../options.ts';
import { readTextFile } from '../read-text.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** What one policy makes possible that another one does not, said and shown by examples. */
export const policyDiff: Command = async (context, [before = '', after = ''], options) => {
  const { print } = context;
  const client = await context.client();
  const answer = await client.call('policyDiff', {
    body: {
      before: await policyReference(context.cwd, before),
      after: await policyReference(context.cwd, after),
    },
  });
  if (print.json) print.object(answer);
  else show(context, answer);
  return differ(answer) && flagOption(options, 'exitCode') ? exitCodes.differs : exitCodes.ok;
};

/** A name that the daemon knows, or a file, which has a dot or a slash in its name. */
export async function policyReference(cwd: string, given: string): Promise<PolicyReference> {
  if (/^[a-z][a-z0-9-]{0,62}$/.test(given)) return { name: given };
  const file = path.resolve(cwd, given);
  const bytes = { bytesMax: policyBytesMax, code: 'policy.invalid', shown: given } as const;
  return { file: given.slice(-512), text: await readTextFile(file, bytes) };
}

function differ({ changes, opened, closed, altered }: PolicyDiff): boolean {
  return changes.length + opened.length + closed.length + altered.length > 0;
}

const signs = { wider: '+', narrower: '-', other: '~' } as const;

function show({ print }: Context, answer: PolicyDiff): void {
  const { out } = print;
  const { before, after, changes, opened, closed, altered, tried, exhaustive } = answer;
  print.line(`--- ${safe(before.name)} ${before.digest}`);
  print.line(`+++ ${safe(after.name)} ${after.digest}`);
  if (!differ(answer)) print.line('No difference.');
  const rows = changes.map(({ way, where, what }) => [signs[way], where, what]);
  for (const [i, line] of table(rows).entries()) {
    const colour = { wider: out.green, narrower: out.red, other: out.yellow };
    print.line(colour[changes[i]?.way ?? 'other'](line));
  }
  showExamples(print, 'Becomes possible', opened);
  showExamples(print, 'Becomes impossible', closed);
  showExamples(print, 'Is asked or allowed otherwise', altered);
  if (tried > 0) {
    print.line();
    print.line(
      out.dim(
        exhaustive
          ? `${tried} tasks were tried; every other one goes as one of them.`
          : `${tried} tasks were tried, at the boundaries of what conditions say; there are others.`,
      ),
    );
  }
}

function showExamples(
  print: Context['print'],
  title: string,
  examples: readonly DiffExample[],
): void {
  if (examples.length === 0) return;
  print.line();
  print.line(print.out.bold(title));
  for (const { before, after, by_before: from, by_after: to, inputs, given } of examples) {
    print.line(
      `  ${before} by ${safe(from)} → ${after} by ${safe(to)}  (${inputs} of those tried)`,
    );
    for (const { path: place, value } of given) print.line(`    ${safe(place)}: ${safe(value)}`);
    if (given.length === 0) print.line('    any ordinary task');
  }
}
