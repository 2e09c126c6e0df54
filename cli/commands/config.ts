import { OrchestraError } from '#contract/errors.ts';
import { CliConfig, readCliConfig } from '../cli-config.ts';
import { chooseHost } from '../client/host.ts';
import type { Command } from '../context.ts';
import { flagOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

type Setting = { name: string; value: string; origin: string };

/** The CLI's settings, then the daemon's where it answers. */
export const configShow: Command = async (context, _args, options) => {
  const { print } = context;
  const config = await readCliConfig(context.cwd, context.env, textOption(options, 'config'));
  const host = chooseHost(context.globals.host, context.env);
  const cli: Setting[] = [
    { name: 'host', value: host.text, origin: host.origin },
    ...(Object.keys(CliConfig.shape) as (keyof CliConfig)[]).map((name) => ({
      name,
      value: String(config.values[name] ?? ''),
      origin: config.origins[name] ?? 'default',
    })),
  ];
  const daemon = await daemonSettings(context);
  if (print.json) {
    print.object({
      cli,
      daemon: daemon.settings,
      ...(daemon.why === undefined ? {} : { daemon_problem: daemon.why }),
    });
    return 0;
  }
  const withOrigin = flagOption(options, 'origin');
  const rows = (settings: readonly Setting[]) =>
    settings.map(({ name, value, origin }) => [
      `  ${name}`,
      value,
      ...(withOrigin ? [origin] : []),
    ]);
  print.line('orchestra');
  for (const line of table(rows(cli))) print.line(line);
  print.line('orchestrad');
  for (const line of table(rows(daemon.settings))) print.line(line);
  if (daemon.why !== undefined) print.line(`  ${safe(daemon.why)}`);
  return 0;
};

async function daemonSettings(
  context: Parameters<Command>[0],
): Promise<{ settings: Setting[]; why?: string }> {
  try {
    const client = await context.client();
    return await client.call('config');
  } catch (error) {
    if (!(error instanceof OrchestraError) || error.code !== 'daemon.unreachable') throw error;
    return { settings: [], why: error.message };
  }
}
