import { parentPort } from 'node:worker_threads';
import { changesOf } from './changes.ts';
import { checkBlobs } from './check-blobs.ts';
import { checkLayer } from './check-layer.ts';
import { collect } from '../artifacts/collect.ts';
import { armFailpoints } from '../base/failpoints.ts';
import { Copies } from './copies/copies-thread.ts';
import { openXattrs, type Xattrs } from '../artifacts/xattr.ts';
import type { Operations } from './operations.ts';
import { giveToOwner } from './owners.ts';
import { removeTree } from './remove.ts';
import { measure } from './measure.ts';
import { prune, weigh } from './prune/prune.ts';
import { stepBack } from './prune/step-back.ts';
import { missingBlobs } from './missing.ts';
import { sealLayer } from './seal.ts';
import { flattenAhead, stackLowers } from './stack.ts';
import { makeSubset } from './subset.ts';
import { failureOf } from './thread-failure.ts';
import { Uploads } from './uploads.ts';
import type { FromWorker, ToWorker } from './worker-pool.ts';

/** The program of a file worker: one operation after another, each made of synchronous calls. */
type Table = {
  [N in Exclude<keyof Operations, 'ingest' | 'pack' | 'unpack'>]: (
    args: Operations[N]['args'],
  ) => Operations[N]['value'];
};

function operationsOf(xattrs: Xattrs): Table {
  return {
    missing: ({ blobsDir, digests }) => missingBlobs(blobsDir, digests),
    subset: makeSubset,
    check: (args) => checkLayer(args, xattrs),
    checkBlobs,
    stack: stackLowers,
    flatten: flattenAhead,
    seal: (args) => sealLayer(args, xattrs),
    changes: changesOf,
    collect: ({ request, blobsDir }) => collect(request, blobsDir, xattrs),
    remove: ({ path }) => removeTree(path),
    weigh: behindOthers(weigh),
    prune: behindOthers(prune),
    own: ({ place }) => giveToOwner(place),
    measure: (request) => measure(request),
  };
}

function behindOthers<A, V>(operation: (args: A) => V): (args: A) => V {
  return (args) => {
    stepBack();
    return operation(args);
  };
}

if (parentPort !== null) serve(parentPort);

function serve(port: NonNullable<typeof parentPort>): void {
  armFailpoints(process.env['ORCHESTRA_FAILPOINTS']);
  const operations = operationsOf(openXattrs());
  const say = (message: FromWorker): void => port.postMessage(message);
  const uploads = new Uploads(say);
  const copies = new Copies(port, openXattrs());
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'warm') uploads.warm();
    else if (message.kind === 'room') copies.room();
    else if (message.kind === 'data') {
      if (!copies.data(message.batch)) uploads.data(message.batch);
    } else if (message.kind === 'end') {
      if (!copies.end()) uploads.end();
    } else if (message.name === 'ingest') {
      uploads.start(message.args as Operations['ingest']['args']);
    } else if (message.name === 'pack') copies.pack(message.args as Operations['pack']['args']);
    else if (message.name === 'unpack') copies.unpack(message.args as Operations['unpack']['args']);
    else {
      try {
        const operation = operations[message.name] as (args: unknown) => unknown;
        say({ kind: 'done', value: operation(message.args) });
      } catch (cause) {
        say(failureOf(cause));
      }
    }
  });
}
