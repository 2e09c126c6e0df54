import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { BadTar, tarFiles } from '../tar-files.ts';

export type ReadArchive = {
  /** The digest of its configuration: what an engine calls it once it is loaded. */
  id: string;
  tags: string[];
  labels: Readonly<Record<string, string>>;
  /** Names in the archive, the lowest first. */
  layers: string[];
};

const limits = { files: 1_000, bytes: 8 * 1024 ** 3 };
const descriptionBytesMax = 1024 * 1024;

const Manifest = z
  .array(
    z.object({
      Config: z.string(),
      RepoTags: z.array(z.string().max(300)).max(100).nullish(),
      Layers: z.array(z.string()).min(1).max(128),
    }),
  )
  .length(1, 'it does not hold exactly one image');
const Config = z.object({
  config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
  rootfs: z.object({ diff_ids: z.array(z.string()).max(128) }),
});

/**
 * Reads a docker-archive of one image and checks that it holds together: the configuration names
 * every layer by the digest that it has. Throws a plain error that says what does not.
 */
export async function readImageArchive(file: string): Promise<ReadArchive> {
  const files = await tarFiles(createReadStream(file), {
    ...limits,
    keep: (_name, bytes) => bytes <= descriptionBytesMax,
  });
  const text = (name: string) => {
    const content = files.get(name)?.content;
    if (content === undefined) throw new BadTar(`${JSON.stringify(name.slice(0, 100))} is missing`);
    return content;
  };
  const [image] = Manifest.parse(JSON.parse(text('manifest.json').toString('utf8')));
  if (image === undefined) throw new BadTar('it holds no image');
  const configBytes = text(image.Config);
  const config = Config.parse(JSON.parse(configBytes.toString('utf8')));
  const layers = image.Layers.map((name) => `sha256:${files.get(name)?.sha256 ?? 'none'}`);
  if (layers.join() !== config.rootfs.diff_ids.join()) {
    throw new BadTar('its layers are not those that its configuration names');
  }
  return {
    id: `sha256:${createHash('sha256').update(configBytes).digest('hex')}`,
    tags: image.RepoTags ?? [],
    labels: config.config?.Labels ?? {},
    layers: image.Layers,
  };
}

export type NpmPackage = { name: string; version: string };

const packagePlace = /(?:^|\/)node_modules\/((?:@[\w.-]+\/)?[\w.-]+)\/package\.json$/;
const Named = z.object({ name: z.string().max(214), version: z.string().max(256) });

/** The npm packages that lie in the layers of an archive, each once, sorted. */
export async function npmPackagesIn(
  file: string,
  layers: readonly string[],
): Promise<NpmPackage[]> {
  const found = new Map<string, NpmPackage>();
  const archive = extract();
  const fed = pipeline(createReadStream(file), archive);
  for await (const entry of archive) {
    if (!layers.includes(entry.header.name)) {
      entry.resume();
      continue;
    }
    const kept = await manifestsIn(entry as AsyncIterable<Buffer>);
    for (const { name, version } of kept) found.set(`${name}@${version}`, { name, version });
  }
  await fed;
  return [...found.keys()].toSorted().flatMap((key) => found.get(key) ?? []);
}

async function manifestsIn(layer: AsyncIterable<Buffer>): Promise<NpmPackage[]> {
  const found: NpmPackage[] = [];
  const inner = extract();
  const fed = pipeline(Readable.from(layer, { objectMode: false }), inner);
  for await (const entry of inner) {
    const { name, size } = entry.header;
    if (!packagePlace.test(name) || size > descriptionBytesMax) {
      entry.resume();
      continue;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
    const parsed = Named.safeParse(jsonOf(Buffer.concat(chunks).toString('utf8')));
    if (parsed.success) found.push(parsed.data);
  }
  await fed;
  return found;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
