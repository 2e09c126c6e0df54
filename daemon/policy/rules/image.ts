import type { Rule } from './rule.ts';

/** The image is on the list, by its id, and of an origin that the list accepts. */
export const image: Rule = (spec, policy, facts) => {
  const { reference, id } = spec.image;
  if (facts.image.reference !== reference || facts.image.id !== id) {
    return [`image ${reference} is not the one that was resolved`];
  }
  const allowed = policy.images.filter((one) => one.reference === reference);
  if (allowed.length === 0) return [`image ${reference} is not on the list`];
  const { origin, pinned } = facts.image;
  const fits = allowed.some(
    (one) => one.origins.includes(origin) && id === (one.digest === 'pinned' ? pinned : one.digest),
  );
  if (fits) return [];
  if (!allowed.some((one) => one.origins.includes(origin))) {
    return [`image ${reference} is ${origin}, which is not allowed`];
  }
  return [`image ${reference} is ${id}, which is not the digest that is allowed`];
};
