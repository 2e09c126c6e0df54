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
    blob: async (digest) => client.bytes('runBlob', { params: { id, digest } }),
  });
  if (print.json) {
    print.object({ ...result, check });
    return 0;
  }
  for (const { path: name, change } of result.applied) print.line(`${marks[change]} ${safe(name)}`);
  for (const { path: name, reason } of result.leftOut) {
    print.warn(`left out: ${safe(name)} (${safe(reason)})`);
  }
  const already = result.already.length === 0 ? '' : `, ${result.already.length} already there`;
  const done = check ? 'would be applied' : 'applied';
  const count = result.applied.length;
  print.line(`${count} ${count === 1 ? 'change' : 'changes'} ${done}${already}`);
  return 0;
};
