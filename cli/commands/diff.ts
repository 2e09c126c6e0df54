import { isUtf8 } from 'node:buffer';
import { exitCodes } from '#contract/errors.ts';
import type { Change } from '#contract/snapshot.ts';
import { formatSize } from '#contract/units.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context } from '../context.ts';
import { flagOption } from '../options.ts';
import { writePatch } from '../patch/write-patch.ts';
import { clean, safe } from '../terminal/clean.ts';
import { unifiedDiff } from '../terminal/unified-diff.ts';

const textBytesMax = 1024 * 1024;
const textFilesMax = 500;

/** What a run changed against its snapshot: names, and the text where it is text. */
export const diff: Command = async (context, [id = ''], options) => {
  const { print } = context;
  const client = await context.client();
  const changes = await client.call('runChanges', { params: { id } });
  const code =
    flagOption(options, 'exitCode') && changes.items.length > 0 ? exitCodes.differs : exitCodes.ok;
  if (flagOption(options, 'patch')) {
    await writePatch(context, client, { id, items: changes.items });
    return code;
  }
  if (print.json) {
    print.object(changes);
    return code;
  }
  if (changes.items.length === 0) print.note('the run changed nothing');
  const namesOnly = flagOption(options, 'stat');
  for (const [at, row] of changes.items.entries()) {
    print.line(nameLine(context, row));
    if (namesOnly || at >= textFilesMax || !hasText(row)) continue;
    for (const line of await textLines(client, id, row)) print.line(painted(context, line));
  }
  const count = (change: Change['change']) =>
    changes.items.filter((row) => row.change === change).length;
  print.note(`${count('added')} added, ${count('modified')} modified, ${count('deleted')} deleted`);
  return code;
};

const marks = { added: '+', modified: '~', deleted: '-' } as const;
const styles = { added: 'green', modified: 'yellow', deleted: 'red' } as const;

function nameLine({ print }: Context, { path, change, before, after }: Change): string {
  const entry = after ?? before;
  const kind = entry?.type === 'dir' ? '/' : entry?.type === 'symlink' ? ` -> ${entry.target}` : '';
  const size = after?.type === 'file' ? `  ${formatSize(after.bytes)}` : '';
  const text = `${marks[change]} ${safe(path)}${safe(kind)}${size}${howItChanged(before, after)}`;
  return print.out[styles[change]](text);
}

function howItChanged(before: Change['before'], after: Change['after']): string {
  if (before === undefined || after === undefined) return '';
  if (before.type !== after.type) return `  was a ${before.type}`;
  if (before.type !== 'file' || after.type !== 'file') return '';
  if (before.executable === after.executable) return '';
  return after.executable ? '  now executable' : '  no longer executable';
}

function hasText({ before, after }: Change): boolean {
  const [old, now] = [digestOf(before), digestOf(after)];
  return (old ?? now) !== undefined && old !== now;
}

function digestOf(entry: Change['before']): string | undefined {
  return entry?.type === 'file' ? entry.digest : undefined;
}

async function textLines(client: Client, id: string, row: Change): Promise<string[]> {
  const before = await textOf(client, id, digestOf(row.before));
  const after = await textOf(client, id, digestOf(row.after));
  if (before === undefined || after === undefined) return ['    (binary or large)'];
  return unifiedDiff(before, after).map((line) => `    ${clean(line, { colour: false })}`);
}

/** The text behind a digest, `''` for no file at all, undefined where it is not text or too long. */
async function textOf(
  client: Client,
  id: string,
  digest: string | undefined,
): Promise<string | undefined> {
  if (digest === undefined) return '';
  const body = await client.bytes('runBlob', { params: { id, digest } });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > textBytesMax) return undefined; // Leaving the loop ends the download.
    chunks.push(chunk);
  }
  const content = Buffer.concat(chunks);
  return isUtf8(content) && !content.includes(0) ? content.toString('utf8') : undefined;
}

function painted({ print }: Context, line: string): string {
  if (line.startsWith('    +')) return print.out.green(line);
  if (line.startsWith('    -')) return print.out.red(line);
  return line.startsWith('    @@') ? print.out.cyan(line) : line;
}
