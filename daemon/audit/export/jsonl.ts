import type { Format } from './format.ts';

/** The lines as they lie in the log, between a line that says which and one that says they are all. */
export const jsonl: Format = {
  contentType: 'application/x-ndjson',
  lineEnd: '\n',
  head: (manifest) => JSON.stringify(manifest),
  record: ({ line }) => line,
  tail: (trailer) => JSON.stringify(trailer),
};
