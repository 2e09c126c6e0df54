import path from 'node:path';
import { formatSize } from '#contract/units.ts';
import { findEngine } from '#setup/engine/find.ts';
import { buildImage, listImages, loadImage } from '#setup/image/images.ts';
import { defaultPaths } from '#setup/paths.ts';
import type { Command } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** The sandbox images that the engine holds now. */
export const imageLs: Command = async ({ print, env }) => {
  const engine = await findEngine({ env });
  const items = await listImages({ engine });
  if (print.json) {
    print.object({ items });
    return 0;
  }
  if (items.length === 0) print.note('none; orchestra image build');
  const rows = items.map((each) => [
    each.reference,
    each.origin,
    each.tag,
    formatSize(each.sizeBytes),
    each.id,
  ]);
  for (const line of table([['REFERENCE', 'ORIGIN', 'TAG', 'SIZE', 'ID'], ...rows]))
    print.line(line);
  return 0;
};

/** Assembles the sandbox image from what this machine has and loads it into the engine. */
export const imageBuild: Command = async ({ print, env }) => {
  const engine = await findEngine({ env });
  const { cacheDir } = defaultPaths(env, process.getuid?.() ?? -1);
  const image = await buildImage({ engine, cacheDir, progress: (message) => print.note(message) });
  if (print.json) print.object(image);
  else print.line(`${safe(image.tag)}  ${formatSize(image.sizeBytes)}  ${image.id}`);
  return 0;
};

/** Loads an archive that holds together, and checks that the engine then has that very image. */
export const imageLoad: Command = async ({ print, env, cwd }, [file = '']) => {
  const engine = await findEngine({ env });
  const image = await loadImage({ engine, file: path.resolve(cwd, file) });
  if (print.json) print.object(image);
  else print.line(`${safe(image.tags.join(' '))}  ${image.id}`);
  return 0;
};

export const imagePin: Command = async ({ print, client }, [reference = '']) => {
  const daemon = await client();
  const pinned = await daemon.call('imagePin', { body: { reference } });
  if (print.json) print.object(pinned);
  else print.line(`${safe(pinned.reference)} is pinned to ${pinned.id}`);
  return 0;
};
