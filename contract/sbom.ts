import { z } from 'zod';

/** The part of CycloneDX 1.6 that Orchestra writes, and nothing beside it. */

const text = z.string().min(1).max(4096);
const Hash = z.union([
  z.strictObject({ alg: z.literal('SHA-256'), content: z.string().regex(/^[0-9a-f]{64}$/) }),
  z.strictObject({ alg: z.literal('SHA-512'), content: z.string().regex(/^[0-9a-f]{128}$/) }),
]);
const Licence = z.union([
  z.strictObject({ license: z.strictObject({ id: text }) }),
  z.strictObject({ license: z.strictObject({ name: text }) }),
  z.strictObject({ expression: text }),
]);

export const SbomComponent = z.strictObject({
  type: z.enum(['application', 'library', 'container', 'file']),
  'bom-ref': text.optional(),
  name: text,
  version: text.optional(),
  hashes: z.array(Hash).min(1).max(2).optional(),
  licenses: z.array(Licence).min(1).max(8).optional(),
  purl: z.string().startsWith('pkg:').max(1024).optional(),
  get components() {
    return z.array(SbomComponent).max(100_000).optional();
  },
});
export type SbomComponent = z.infer<typeof SbomComponent>;

export const Sbom = z.strictObject({
  $schema: z.literal('http://cyclonedx.org/schema/bom-1.6.schema.json'),
  bomFormat: z.literal('CycloneDX'),
  specVersion: z.literal('1.6'),
  serialNumber: z
    .string()
    .regex(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/),
  version: z.literal(1),
  metadata: z.strictObject({ timestamp: z.iso.datetime(), component: SbomComponent }),
  components: z.array(SbomComponent).max(10_000),
  dependencies: z
    .array(z.strictObject({ ref: text, dependsOn: z.array(text).max(100_000).optional() }))
    .max(100_000),
});
export type Sbom = z.infer<typeof Sbom>;
