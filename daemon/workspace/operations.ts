import type { Digest } from '#contract/ids.ts';
import type { ChangeSet, LeftOut, SnapshotAnswer, TreeLimits } from '#contract/snapshot.ts';
import type { BlobCheck } from './check-blobs.ts';
import type { LayerCheck } from './check-layer.ts';
import type { DiskUse, MeasureRequest } from './measure.ts';
import type { PrunedPart, PruneWork, WeighRequest } from './prune/request.ts';
import type { CollectRequest, Collected } from '../artifacts/collect.ts';
import type { CheckedBlob } from './intact.ts';
import type { Part } from './subset.ts';
import type { PackRequest } from './copies/pack.ts';
import type { UnpackRequest, Unpacked } from './copies/unpack.ts';

/** Where things are and whom they belong to: what every operation is told. */
export type Place = { stateDir: string; uid: number; gid: number; limits: TreeLimits };

/** A sealed layer of an ancestor; `deps` are the task ids that it waited for. */
export type AncestorLayer = { taskId: string; layer: Digest; deps: readonly string[] };

/**
 * What a task's view is made of, oldest ancestor first. `partial`: the snapshot is a part of the
 * run's, so there may be more in a directory than the task saw.
 */
export type Stack = { snapshot: Digest; partial?: true; ancestors: readonly AncestorLayer[] };

export type SealedLayer = {
  digest: Digest;
  entries: number;
  bytes: number;
  changes: { added: number; modified: number; deleted: number };
  /** What was not taken along, or not as it was: the first of them, and how many there are. */
  leftOut: LeftOut[];
  leftOutCount: number;
};

/** The long operations on files, each done in a worker thread. */
export type Operations = {
  ingest: { args: { place: Place; temp: string }; value: SnapshotAnswer };
  missing: { args: { blobsDir: string; digests: readonly Digest[] }; value: Digest[] };
  subset: { args: { place: Place; snapshot: Digest; part: Part }; value: Digest };
  check: {
    args: { place: Place; layer: Digest; stamp: string | undefined };
    value: LayerCheck;
  };
  checkBlobs: {
    args: { blobsDir: string; blobs: readonly CheckedBlob[]; stamp: string | undefined };
    value: BlobCheck;
  };
  stack: { args: { place: Place; stack: Stack }; value: { lower: string[] } };
  /** The oldest `count` layers that hold anything. */
  flatten: { args: { place: Place; stack: Stack; count: number }; value: void };
  seal: {
    args: { place: Place; id: string; stack: Stack };
    /** `stamp`: as a check of the layer would give it. */
    value: { sealed: SealedLayer; kept: boolean; stamp: string };
  };
  changes: {
    args: { place: Place; snapshot: Digest; layers: readonly Digest[] };
    value: ChangeSet;
  };
  collect: { args: { request: CollectRequest; blobsDir: string }; value: Collected };
  remove: { args: { path: string }; value: number };
  weigh: { args: WeighRequest; value: number[] };
  prune: { args: PruneWork; value: PrunedPart[] };
  pack: { args: PackRequest; value: undefined };
  unpack: { args: UnpackRequest; value: Unpacked };
  own: { args: { place: Place }; value: number };
  measure: { args: MeasureRequest; value: DiskUse | undefined };
};
