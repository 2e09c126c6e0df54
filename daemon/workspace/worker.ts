import { parentPort } from 'node:worker_threads';
import { OrchestraError } from '#contract/errors.ts';
import { changesOf } from './changes.ts';
import { collect } from '../artifacts/collect.ts';
import { openXattrs, type Xattrs } from '../artifacts/xattr.ts';
import { Ingest } from './ingest.ts';
import type { Operations } from './operations.ts';
import { removeTree } from './remove.ts';
import { measure } from './measure.ts';
import { missingBlobs } from './missing.ts';
import { sealLayer } from './seal.ts';
import { stackLowers } from './stack.ts';
import type { FromWorker, ToWorker } from './worker-pool.ts';

/** The program of a file worker: one operation after another, each made of synchronous calls. */
type Table = {
  [N in Exclude<keyof Operations, 'ingest'>]: (
    args: Operations[N]['args'],
  ) => Operations[N]['value'];
};

function operationsOf(xattrs: Xattrs): Table {
  return {
    missing: ({ blobsDir, digests }) => missingBlobs(blobsDir, digests),
    stack: stackLowers,
    seal: (args) => sealLayer(args, xattrs),
    changes: changesOf,
    collect: ({ request, blobsDir }) => collect(request, blobsDir, xattrs),
    remove: ({ path }) => removeTree(path),
    measure: (request) => measure(request),
  };
}

if (parentPort !== null) serve(parentPort);

function serve(port: NonNullable<typeof parentPort>): void {
  const operations = operationsOf(openXattrs());
  let ingest: Ingest | undefined;
  const say = (message: FromWorker): void => port.postMessage(message);
  port.on('message', (message: ToWorker) => {
    // What was still on its way when its upload was refused. An answer to it would be taken for the
    // answer to the next question, which may be somebody else's.
    if (message.kind !== 'start' && ingest === undefined) return;
    try {
      if (message.kind === 'data') {
        for (const chunk of message.batch) {
          ingest?.push(chunk);
          // Given back now: memory that waits for the collector makes it run again and again.
          chunk.buffer.transfer(0);
        }
        say({ kind: 'taken' });
      } else if (message.kind === 'end') {
        const value = ingest?.finish();
        ingest = undefined;
        say({ kind: 'done', value });
      } else if (message.name === 'ingest') {
        const { place, temp } = message.args as Operations['ingest']['args'];
        ingest = new Ingest(place, temp);
      } else {
        const operation = operations[message.name] as (args: unknown) => unknown;
        say({ kind: 'done', value: operation(message.args) });
      }
    } catch (cause) {
      try {
        ingest?.abort();
      } catch {
        // What could not be removed now is swept at the next start; the first error is the one to tell.
      }
      ingest = undefined;
      say(failure(cause));
    }
  });
}

function failure(cause: unknown): FromWorker {
  if (cause instanceof OrchestraError) {
    return {
      kind: 'failed',
      code: cause.code,
      message: cause.message,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
      places: [...cause.places],
    };
  }
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return { kind: 'failed', code: 'disk.full', message: 'The state directory has no room left' };
  }
  return { kind: 'failed', message };
}
