import { WorkerPool } from './worker-pool.ts';

/** The file threads of a workspace, apart so that no kind of work waits for another. */
export type Threads = {
  files: WorkerPool;
  uploads: WorkerPool;
  /** Of its own: a task that fills the disk must not wait for others to be sealed. */
  measuring: WorkerPool;
  /** Of its own: an engine that is far away is slow, and whoever writes to it waits. */
  copying: WorkerPool;
  /** Of its own: its threads step back behind everybody else's, for good. */
  pruning: WorkerPool;
  close(): Promise<void>;
};

/** No thread is started before there is work for it. */
export function openThreads(workerUrl = new URL('./worker.ts', import.meta.url)): Threads {
  const files = new WorkerPool(workerUrl);
  const uploads = new WorkerPool(workerUrl);
  const measuring = new WorkerPool(workerUrl);
  const copying = new WorkerPool(workerUrl);
  const pruning = new WorkerPool(workerUrl);
  return {
    files,
    uploads,
    measuring,
    copying,
    pruning,
    close: async () => {
      await Promise.all([files, uploads, measuring, copying, pruning].map((pool) => pool.close()));
    },
  };
}
