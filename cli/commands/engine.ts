import { formatSize } from '#contract/units.ts';
import { OrchestraError } from '#contract/errors.ts';
import { engineStatus as privateStatus, stopEngine } from '#setup/engine/control.ts';
import { findEngine } from '#setup/engine/find.ts';
import { enginePaths } from '#setup/paths.ts';
import type { Command } from '../context.ts';
import { flagOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** Which engine answers, and how Orchestra's own is. Starts nothing. */
export const engineStatus: Command = async ({ print, env }) => {
  const found = await findEngine({ env }).catch((error: unknown) => {
    if (error instanceof OrchestraError) return error;
    throw error;
  });
  const own = await privateStatus(enginePaths(env));
  if (print.json) {
    const used = found instanceof OrchestraError ? null : found;
    print.object({ used, own });
    return found instanceof OrchestraError ? found.facts.exit : 0;
  }
  if (found instanceof OrchestraError) {
    print.line(`${print.out.red('✗')} ${safe(found.message)}`);
    for (const place of found.places) print.line(`    ${safe(place.message)}`);
    if (found.hint !== undefined) print.line(`Next  ${safe(found.hint)}`);
  } else {
    print.line(
      `${print.out.green('✔')} ${found.kind} ${safe(found.version)} at ${safe(found.host)} (${found.origin})`,
    );
  }
  const { containers } = own;
  const facts: [string, string][] = [
    ["Orchestra's own", own.running ? `runs, pid ${own.pid ?? 'unknown'}` : 'does not run'],
    ['socket', own.socket],
    [
      'data',
      own.dataBytes === undefined ? own.dataDir : `${own.dataDir}, ${formatSize(own.dataBytes)}`,
    ],
    ['log', own.logFile],
  ];
  if (own.runtimes !== undefined) facts.push(['runtimes', own.runtimes.map(safe).join(', ')]);
  if (containers !== undefined) {
    facts.push(['containers', `${containers.total}, ${containers.running} running`]);
  }
  for (const line of table(facts)) print.line(line);
  return found instanceof OrchestraError ? found.facts.exit : 0;
};

/** Stops Orchestra's own engine, never another. */
export const engineStop: Command = async ({ print, env }, _args, options) => {
  const stopped = await stopEngine(enginePaths(env), {
    force: flagOption(options, 'force'),
    progress: (message) => print.note(message),
  });
  if (print.json) print.object({ stopped });
  else
    print.line(
      stopped ? "Orchestra's own engine is stopped" : "Orchestra's own engine was not running",
    );
  return 0;
};
