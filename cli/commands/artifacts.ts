import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { formatSize } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { writeFileFresh } from '../write-file.ts';

export const artifactsLs: Command = async ({ print, client }, [id = '']) => {
  const daemon = await client();
  const { items } = await daemon.call('artifactList', { params: { id } });
  if (print.json) {
    print.object({ items });
    return 0;
  }
  if (items.length === 0) print.note('no outputs were collected');
  const rows = items.map((each) => [
    each.task,
    each.name,
    each.kind,
    formatSize(each.bytes),
    `sha256:${each.sha256.replace(/^sha256:/, '')}`,
    each.path,
  ]);
  if (rows.length > 0) rows.unshift(['TASK', 'NAME', 'KIND', 'SIZE', 'DIGEST', 'PATH']);
  for (const line of table(rows)) print.line(line);
  return 0;
};

/** Downloads one output. A file is checked against the digest of the list before it is in place. */
export const artifactsGet: Command = async (context, [id = '', wanted = ''], options) => {
  const { print } = context;
  const client = await context.client();
  const { items } = await client.call('artifactList', { params: { id } });
  const found = items.filter(
    (each) => each.name === wanted || `${each.task}/${each.name}` === wanted,
  );
  const [artifact] = found;
  if (artifact === undefined || found.length > 1) {
    const names = items.map((each) => `${each.task}/${each.name}`).join(', ');
    throw new OrchestraError(
      'artifact.unknown',
      found.length > 1 ? `Several outputs are named ${wanted}` : `The run has no output ${wanted}`,
      { hint: names === '' ? 'it collected none' : `there are: ${names.slice(0, 500)}` },
    );
  }
  const params = { id, task: artifact.task, name: artifact.name };
  const body = await client.bytes('artifactGet', { params });
  const chunks = body as AsyncIterable<Uint8Array>;
  // A file is named by the last part of its path, which is the task's word: never a path here.
  const own = path
    .basename(artifact.path)
    .replaceAll(/[^\w.+-]/g, '_')
    .replace(/^\.+/, '_');
  const name =
    artifact.kind === 'directory' ? `${artifact.name.replaceAll(':', '.')}.tar` : own || 'output';
  const out = textOption(options, 'out') ?? name;
  if (out === '-' && !print.json) {
    for await (const chunk of checked(chunks, artifact)) await print.bytes(chunk);
    return 0;
  }
  const file = path.resolve(context.cwd, out === '-' ? name : out);
  await writeFileFresh(file, checked(chunks, artifact));
  if (print.json) print.object({ ...artifact, file });
  else print.line(`${safe(file)}  ${formatSize(artifact.bytes)}`);
  return 0;
};

async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  artifact: { kind: 'file' | 'directory'; sha256: string; name: string },
): AsyncGenerator<Uint8Array> {
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
  // A directory's digest is that of its manifest, not of the tar that carries it.
  if (artifact.kind === 'file' && hash.digest('hex') !== artifact.sha256.replace(/^sha256:/, '')) {
    throw new OrchestraError(
      'blob.damaged',
      `What came is not the recorded output ${artifact.name}`,
    );
  }
}
