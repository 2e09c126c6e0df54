import { parse } from 'yaml';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import type { Client } from '../client/client.ts';
import type { PolicyWish } from './field.ts';

const Document = z.record(z.string(), z.unknown());
const Effective = z.looseObject({
  isolation: z.looseObject({ runtimes: z.array(z.string()) }),
});

export type SelftestPolicy = {
  document: PolicyWish;
  /** Given with every run; absent where the daemon's own policy is the one to test. */
  given: PolicyWish | undefined;
};

/**
 * The policy that runs get when they name none, as a document. With a runtime the same document,
 * narrowed to that one: a policy that does not allow it cannot be made to.
 */
export async function selftestPolicy(
  client: Client,
  runtime: string | undefined,
): Promise<SelftestPolicy> {
  const { settings } = await client.call('config');
  const name = settings.find((each) => each.name === 'policy')?.value ?? 'default';
  const { text, effective } = await client.call('policyShow', { params: { name } });
  const document = Document.parse(parse(text, { maxAliasCount: 32 }));
  if (runtime === undefined) return { document, given: undefined };
  const { runtimes } = Effective.parse(effective).isolation;
  if (!runtimes.includes(runtime)) {
    throw new OrchestraError('policy.denied', `The policy ${name} does not allow ${runtime}`, {
      hint: `it allows ${runtimes.join(', ')}: isolation.runtimes in the policy`,
    });
  }
  const isolation = { ...(document['isolation'] as object), runtimes: [runtime] };
  const narrowed = { ...document, name: 'selftest', isolation };
  return { document: narrowed, given: narrowed };
}
