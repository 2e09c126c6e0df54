import { OrchestraError } from '#contract/errors.ts';
import type { Command } from '../context.ts';
import { flagOption } from '../options.ts';
import { runSettings, type RunSettings } from '../run/settings.ts';
import { snapshotWorkspace } from '../run/snapshot.ts';
import { checkDetach, detach, toTheEnd } from '../run/to-the-end.ts';

export const run: Command = async (context, [intent], options) => {
  const isDetached = flagOption(options, 'detach');
  checkDetach(context, isDetached);
  const settings = await runSettings(context, options);
  const words = intent ?? intentOfPlan(settings);
  const client = await context.client();
  const snapshot = await snapshotWorkspace(context, client, settings.workspace);
  const body = { ...settings.submit, intent: words, snapshot };
  const { id } = await client.call('runSubmit', { body });
  if (isDetached) return detach(context, id);
  context.print.note(`Run   ${id}`);
  return toTheEnd(context, client, id, settings);
};

function intentOfPlan(settings: RunSettings): string {
  const file = settings.submit.plan?.file;
  if (file !== undefined) return `Run ${file}`;
  throw new OrchestraError('usage.invalid', 'Nothing was asked for', {
    hint: 'orchestra run "Build and test", or --plan FILE',
  });
}
