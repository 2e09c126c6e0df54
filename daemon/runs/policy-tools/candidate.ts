import type { PolicyReference } from '#contract/policy-tools.ts';
import { readPolicy } from '../../policy/document.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import { narrow } from '../../policy/narrow.ts';
import type { PolicyBook } from '../../policy/book.ts';

type Book = Pick<PolicyBook, 'documents' | 'get'>;

/** A document alone: of a name that is in force, or of a text. Throws what is wrong with either. */
export function documentOf(book: Book, reference: PolicyReference): EffectivePolicy {
  if ('text' in reference) return readPolicy(reference.text, reference.file).policy;
  const found = book.documents().find(({ name }) => name === reference.name);
  // Says which names there are.
  return found === undefined ? book.get(reference.name).policy : found.policy;
}

/** The document as it would apply: beneath the ceiling, or as the ceiling where it has its name. */
export function inPlace(book: Book, document: EffectivePolicy): EffectivePolicy {
  const top = ceilingOf(book);
  if (top === undefined || top.name === document.name) return document;
  return narrow(top, document).policy;
}

/**
 * What a run under a policy of a name would be judged by if the document were in force: undefined
 * where that makes no difference to it. One of a new name is tried in place of every run's own.
 */
export function standIn(
  book: Book,
  document: EffectivePolicy,
  runPolicy: string,
): EffectivePolicy | undefined {
  const known = new Map(book.documents().map(({ name, policy }) => [name, policy]));
  const top = ceilingOf(book);
  if (document.name === top?.name) {
    const own = known.get(runPolicy);
    return own === undefined || runPolicy === document.name
      ? document
      : narrow(document, own).policy;
  }
  if (known.has(document.name) && runPolicy !== document.name) return undefined;
  return inPlace(book, document);
}

function ceilingOf(book: Book): EffectivePolicy | undefined {
  return book.documents().find(({ isCeiling }) => isCeiling)?.policy;
}
