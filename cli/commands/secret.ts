import { OrchestraError } from '#contract/errors.ts';
import { SecretName } from '#contract/ids.ts';
import { formatSize } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { readInput } from '../read-text.ts';

const valueBytesMax = 64 * 1024;

/** Names only: nothing answers a value. */
export const secretLs: Command = async ({ print, client }) => {
  const daemon = await client();
  const { items, writable } = await daemon.call('secretList');
  if (print.json) {
    print.object({ items, writable });
    return 0;
  }
  if (!writable) print.note('they come from outside the daemon and cannot be changed here');
  if (items.length === 0) print.note('none; orchestra secret set NAME < FILE');
  const rows = items.map(({ name, bytes, set_at: at }) => [safe(name), formatSize(bytes), at]);
  for (const line of table([['NAME', 'SIZE', 'SET'], ...rows])) print.line(line);
  return 0;
};

/** The value comes from standard input and from nowhere else: arguments are seen by every user. */
export const secretSet: Command = async ({ print, client, io }, [given = '']) => {
  const name = nameOf(given);
  if ((io.stdin as { isTTY?: boolean }).isTTY === true) {
    throw new OrchestraError('usage.invalid', 'The value is read from standard input', {
      hint: `orchestra secret set ${name} < FILE`,
    });
  }
  const value = await readInput(io.stdin, valueBytesMax);
  const daemon = await client();
  const set = await daemon.upload('secretSet', once(value), { params: { name } });
  value.fill(0);
  if (print.json) print.object(set);
  else print.line(`${safe(set.name)} is set, ${formatSize(set.bytes)}`);
  return 0;
};

export const secretRm: Command = async ({ print, client }, [given = '']) => {
  const name = nameOf(given);
  const daemon = await client();
  const removed = await daemon.call('secretRemove', { params: { name } });
  if (print.json) print.object(removed);
  else print.line(`${safe(removed.name)} is removed`);
  return 0;
};

// Whoever mixes up name and value must not find the value in an error, let alone in the log.
function nameOf(given: string): string {
  if (SecretName.safeParse(given).success) return given;
  throw new OrchestraError('usage.invalid', 'This is no name of a secret', {
    hint: 'letters, digits, "_", "-" and ".", beginning with a letter: NPM_TOKEN',
  });
}

async function* once(value: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield value;
}
