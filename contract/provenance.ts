import { z } from 'zod';
import { attestationType, statementType } from './attestation.ts';
import { Digest, RunId } from './ids.ts';

/**
 * How an artifact came to be, signed: in-toto statements with SLSA's provenance predicate, each in
 * a DSSE envelope. What the fields hold is told in docs/AUDIT.md, "Provenance".
 */
export const provenanceType = 'https://slsa.dev/provenance/v1';
export const buildTypes = {
  /** Subjects are what one task left. */
  task: 'urn:orchestra:build:task:1',
  /** Subjects are what all tasks of a run left. */
  run: 'urn:orchestra:build:run:1',
} as const;
/** What `sha256` is the digest of where the artifact is a directory: the list of what is in it. */
export const treeMediaType = 'application/vnd.orchestra.tree.v1+json';

export const Envelope = z.strictObject({
  payloadType: z.literal(attestationType),
  /** The statement as JSON, in base64. */
  payload: z.base64().max(64 * 1024 * 1024),
  signatures: z.array(z.strictObject({ keyid: Digest, sig: z.base64().max(256) })).length(1),
  /** Ed25519, SPKI in base64; `keyid` is its digest. Proves nothing by itself: see `--key`. */
  publicKey: z.base64().max(256),
});
export type Envelope = z.infer<typeof Envelope>;

const hex64 = z.string().regex(/^[0-9a-f]{64}$/);
const Resource = z.strictObject({
  name: z.string(),
  digest: z.strictObject({ sha256: hex64 }),
  mediaType: z.string().optional(),
  annotations: z.record(z.string(), z.unknown()).optional(),
});
export type Resource = z.infer<typeof Resource>;

export const ProvenanceStatement = z.strictObject({
  _type: z.literal(statementType),
  subject: z.array(Resource).min(1),
  predicateType: z.literal(provenanceType),
  predicate: z.strictObject({
    buildDefinition: z.strictObject({
      buildType: z.enum([buildTypes.task, buildTypes.run]),
      externalParameters: z.looseObject({}),
      internalParameters: z.looseObject({}),
      resolvedDependencies: z.array(Resource),
    }),
    runDetails: z.strictObject({
      builder: z.strictObject({ id: z.string() }),
      metadata: z.strictObject({
        invocationId: z.string(),
        startedOn: z.string().optional(),
        finishedOn: z.string().optional(),
      }),
      byproducts: z.array(Resource),
    }),
  }),
});
export type ProvenanceStatement = z.infer<typeof ProvenanceStatement>;

export const ProvenanceAnswer = z.strictObject({
  run: RunId,
  /** The blob that holds all of them, a line each, as the log names it. */
  bundle: Digest,
  /** First that of the run, then one for each task that left something; or the one asked for. */
  envelopes: z.array(Envelope).min(1),
});
export type ProvenanceAnswer = z.infer<typeof ProvenanceAnswer>;

/** How the digest of a key is spelled, and the key itself for a file. */
export const ProvenanceKey = z.strictObject({ key: Digest, pem: z.string() });
