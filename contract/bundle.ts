import { z } from 'zod';
import { Digest } from './ids.ts';

/** What a bundle for machines without a network is made of, beside the package of its version. */
export const bundleFiles = {
  manifest: 'bundle.json',
  image: 'image.tar',
  sbom: 'sbom.cdx.json',
  install: 'INSTALL.md',
} as const;

/** The checksums of everything else, their signature (64 bytes, Ed25519) and the key that made it. */
export const bundleSeal = {
  sums: 'SHA256SUMS',
  signature: 'SHA256SUMS.sig',
  key: 'SHA256SUMS.pem',
} as const;

export const bundleLimits = { files: 16, bytes: 8 * 1024 ** 3, smallBytes: 64 * 1024 * 1024 };

/** Flat, and nothing that a shell, a terminal or a file system reads in a way of its own. */
export const BundleName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}$/);

/** `bundle.json`. */
export const BundleManifest = z.strictObject({
  format: z.literal('orchestra-bundle/1'),
  version: z.string().regex(/^[0-9][A-Za-z0-9.+~-]{0,63}$/),
  architecture: z.enum(['amd64', 'arm64']),
  made: z.iso.datetime(),
  package: BundleName,
  image: z.strictObject({
    /** The digest of its configuration, which is what an engine calls it and policies pin. */
    id: Digest,
    tag: z.string().min(1).max(256),
    origin: z.enum(['assembled', 'saved']),
  }),
});
export type BundleManifest = z.infer<typeof BundleManifest>;
