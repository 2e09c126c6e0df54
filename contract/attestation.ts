import { z } from 'zod';
import { Digest } from './ids.ts';

/**
 * A signed word of one daemon about files: which they were by digest, and at which place of its log
 * it said so. A DSSE envelope around an in-toto statement, so that other tools can check it.
 */
const subject = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'not the name of a file'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export const AttestFiles = z.strictObject({
  kind: z.enum(['selftest.hostile', 'audit.evidence']),
  files: z.array(subject).min(1).max(16),
});
export type AttestFiles = z.infer<typeof AttestFiles>;

export const attestationType = 'application/vnd.in-toto+json';
export const statementType = 'https://in-toto.io/Statement/v1';
export const predicateType = 'urn:orchestra:attestation:1';

export const AttestationStatement = z.strictObject({
  _type: z.literal(statementType),
  subject: z
    .array(z.strictObject({ name: z.string(), digest: z.strictObject({ sha256: z.string() }) }))
    .min(1)
    .max(16),
  predicateType: z.literal(predicateType),
  predicate: z.strictObject({
    kind: z.string().max(64),
    product: z.string().max(64),
    version: z.string().max(64),
    /** The log's own name, and the record in it that says that this was signed. */
    log: z.strictObject({
      origin: z.string().max(128),
      seq: z.number().int().min(0),
      hash: z.string().regex(/^[0-9a-f]{64}$/),
    }),
    signed_at: z.string().max(40),
  }),
});
export type AttestationStatement = z.infer<typeof AttestationStatement>;

export const Attestation = z.strictObject({
  payloadType: z.literal(attestationType),
  /** The statement as JSON, in base64. */
  payload: z.string().max(64 * 1024),
  signatures: z.array(z.strictObject({ keyid: Digest, sig: z.string().max(256) })).length(1),
  /** Ed25519, SPKI in base64; `keyid` is its digest. Not a part of DSSE, which leaves it open. */
  publicKey: z.string().max(256),
});
export type Attestation = z.infer<typeof Attestation>;

/** What is signed: type and payload with their lengths, so that nothing can be shifted between them. */
export function signedBytes(payloadType: string, payload: Uint8Array): Uint8Array {
  const encoder = new TextEncoder();
  const type = encoder.encode(payloadType);
  const head = encoder.encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}
