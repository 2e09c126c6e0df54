import { readFileSync } from 'node:fs';
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

/** Reads the description of one image of this checkout. */
export function describeImage(name = 'node20'): ImageDescription {
  const file = new URL(`../../images/${name}/image.yaml`, import.meta.url);
  return ImageDescription.parse(parse(readFileSync(file, 'utf8')));
}
