import type { Rule } from './rule.ts';

/**
 * The image is on the list, of an origin that the list accepts, and the very one that this daemon
 * pinned. A digest in a policy comes on top of the pin: a narrower policy could otherwise name an
 * image that the one above it never meant.
 */
export const image: Rule = (spec, policy, facts) => {
  const { reference, id } = spec.image;
  if (facts.image.reference !== reference || facts.image.id !== id) {
    return [`image ${reference} is not the one that was resolved`];
  }
  const allowed = policy.images.filter((one) => one.reference === reference);
  if (allowed.length === 0) return [`image ${reference} is not on the list`];
  const { origin, pinned } = facts.image;
  const fits = allowed.some(
    (one) => one.origins.includes(origin) && (one.digest === 'pinned' || id === one.digest),
  );
  if (fits && id === pinned) return [];
  if (!allowed.some((one) => one.origins.includes(origin))) {
    return [`image ${reference} is ${origin}, which is not allowed`];
  }
  if (fits) return [`image ${reference} is ${id}, and ${pinned ?? 'nothing'} is pinned`];
  return [`image ${reference} is ${id}, which is not the digest that is allowed`];
};
