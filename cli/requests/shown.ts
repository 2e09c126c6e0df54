import { createHash } from 'node:crypto';
import { OrchestraError } from '#contract/errors.ts';
import { ShownApproval, ShownQuestion, type RequestView } from '#contract/requests.ts';

/**
 * What is asked, from the exact text that an answer will name by its digest. Refuses a text of
 * another digest, and one that this version does not understand to the letter: what is not shown
 * must not be approved.
 */
export function readShown({ id, shown, text }: RequestView): ShownApproval | ShownQuestion {
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  if (digest !== shown) {
    throw new OrchestraError('approval.stale', `What ${id} shows is not what its digest names`, {
      hint: 'do not answer it; orchestra audit verify',
    });
  }
  return parseShown(text);
}

/** The same of a text that nobody answers. */
export function parseShown(text: string): ShownApproval | ShownQuestion {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notUnderstood(cause);
  }
  const approval = ShownApproval.safeParse(value);
  if (approval.success) return approval.data;
  const question = ShownQuestion.safeParse(value);
  if (question.success) return question.data;
  throw notUnderstood(approval.error);
}

function notUnderstood(cause: unknown): OrchestraError {
  return new OrchestraError('answer.invalid', 'What is asked was not understood', {
    hint: 'the versions of orchestra and orchestrad may differ: orchestra doctor',
    cause,
  });
}
