import path from 'node:path';
import type { Command } from '../context.ts';
import { flagOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { applyChanges } from '../workspace/apply.ts';

const marks = { added: '+', modified: '~', deleted: '-' } as const;

/** Writes what a run did into the user's directory: all of it, or on any conflict nothing. */
export const apply: Command = async (context, [id = ''], options) => {
  const { print } = context;
  const client = await context.client();
  const changes = await client.call('runChanges', { params: { id } });
  const check = flagOption(options, 'check');
  const workspace = path.resolve(context.cwd, textOption(options, 'workspace') ?? '.');
  const result = await applyChanges({
    workspace,
    changes,
    check,
    withIgnored: flagOption(options, 'ignored'),
    blob: async (digest) => client.bytes('runBlob', { params: { id, digest } }),
  });
  if (print.json) {
    print.object({ ...result, check });
    return 0;
  }
  for (const { path: name, change } of result.applied) print.line(`${marks[change]} ${safe(name)}`);
  for (const line of leftOutLines(result.leftOut)) print.warn(line);
  const already = result.already.length === 0 ? '' : `, ${result.already.length} already there`;
  const done = check ? 'would be applied' : 'applied';
  const count = result.applied.length;
  print.line(`${count} ${count === 1 ? 'change' : 'changes'} ${done}${already}`);
  return 0;
};

const ignoredHere = 'ignored here';

/** One line a path, but only one for all that is ignored: that may be a whole `node_modules`. */
function leftOutLines(leftOut: readonly { path: string; reason: string }[]): string[] {
  const ignored = leftOut.filter(({ reason }) => reason === ignoredHere);
  const rest = leftOut.filter(({ reason }) => reason !== ignoredHere);
  const lines = rest.map(({ path: name, reason }) => `left out: ${safe(name)} (${safe(reason)})`);
  if (ignored.length === 0) return lines;
  const tops = [...new Set(ignored.map(({ path: name }) => name.split('/')[0] ?? ''))];
  const shown = tops.slice(0, 5).map(safe).join(', ');
  const more = tops.length > 5 ? ', …' : '';
  return [
    ...lines,
    `left out: ${ignored.length} paths that are ignored here (${shown}${more}); --ignored takes them too`,
  ];
}
