import { OrchestraError } from '#contract/errors.ts';
import { within } from '../base/deadline.ts';

/** The same chunks, but a sender that is silent for `ms` is given up. */
export async function* patient<T>(input: AsyncIterable<T>, ms: number): AsyncGenerator<T, void> {
  const chunks = input[Symbol.asyncIterator]();
  for (;;) {
    const next = await within(chunks.next(), ms, () => lateUpload(ms));
    if (next.done === true) return;
    yield next.value;
  }
}

export function lateUpload(ms: number): OrchestraError {
  return new OrchestraError('request.timeout', `The upload sent nothing for ${ms / 1000} s`);
}
