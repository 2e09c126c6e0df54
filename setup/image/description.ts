import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

const Pinned = z.strictObject({
  package: z.string().regex(/^[a-z0-9-]+@[0-9.]+$/),
  integrity: z.string().regex(/^sha512-[A-Za-z0-9+/]{86}==$/),
});

const Libc = z.enum(['musl', 'glibc']);

/** One `images/NAME/image.yaml`: the contract of a sandbox image. */
export const ImageDescription = z.strictObject({
  name: z.string(),
  description: z.string(),
  reference: z.string(),
  fallback: z.string(),
  os: z.literal('linux'),
  cpu: z.array(z.enum(['x64', 'arm64'])),
  libc: z.strictObject({ pulled: Libc, assembled: Libc }),
  user: z.strictObject({
    name: z.string(),
    uid: z.int().min(1),
    gid: z.int().min(1),
    home: z.string(),
  }),
  versions: z.record(z.string(), z.string()),
  tools: z.array(z.string()),
  applets: z.array(z.string()),
  inputs: z.strictObject({
    node: z.strictObject({ version: z.string(), x64: Pinned, arm64: Pinned }),
    npm: Pinned,
  }),
});
export type ImageDescription = z.infer<typeof ImageDescription>;
export type PinnedPackage = z.infer<typeof Pinned>;

/** Reads the description of one image: from the checkout, or from the package this was bundled into. */
export function describeImage(name = 'node20'): ImageDescription {
  return ImageDescription.parse(parse(readFileSync(findDescription(name), 'utf8')));
}

// A bundle lies less deep than this file does, so the folder is looked for on the way up.
function findDescription(name: string): URL {
  const candidates = ['../../', '../', './', '../../../'].map(
    (up) => new URL(`${up}images/${name}/image.yaml`, import.meta.url),
  );
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined)
    throw new Error(`images/${name}/image.yaml is missing from this install`);
  return found;
}
