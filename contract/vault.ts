import { z } from 'zod';
import { SubjectId } from './ids.ts';

export const disclosureFormat = 'orchestra-disclosure/1';
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

export const DiscloseData = z.strictObject({ reason: z.string().max(512).optional() });
export const EraseSubject = z.strictObject({ reason: z.string().min(1).max(512) });

/**
 * What a record has only a commitment of. Whoever has the record checks it without us: `commitment`
 * is the SHA-256 of `orchestra/commit/v1`, the 32 bytes of `salt` and `value` in UTF-8.
 */
export const Disclosure = z.strictObject({
  format: z.literal(disclosureFormat),
  origin: z.string(),
  seq: z.number().int(),
  field: z.string(),
  commitment: hex64,
  salt: hex64,
  value: z.string(),
  subject: SubjectId,
});
export type Disclosure = z.infer<typeof Disclosure>;

export const SubjectRow = z.strictObject({
  subject: SubjectId,
  uid: z.number().int().optional(),
  name: z.string().optional(),
});
