import { OrchestraError } from '#contract/errors.ts';
import { within } from '../base/deadline.ts';

/**
 * The same chunks, but a sender that is silent for `ms` is given up: it holds a thread that others
 * wait for.
 */
export async function* patient<T>(input: AsyncIterable<T>, ms: number): AsyncGenerator<T, void> {
  const chunks = input[Symbol.asyncIterator]();
  const late = () =>
    new OrchestraError('request.timeout', `The upload sent nothing for ${ms / 1000} s`);
  for (;;) {
    const next = await within(chunks.next(), ms, late);
    if (next.done === true) return;
    yield next.value;
  }
}
