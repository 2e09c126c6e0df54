import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { verifyLog } from '#verifier/verify.ts';
import type { VerifyTask } from './in-thread.ts';

/** Entry of the thread that `verifyInThread` starts: one log, one verdict. */
const { dir, options, stepsBack } = workerData as VerifyTask;
// On Linux this is of the thread alone: whoever runs something goes first.
if (stepsBack) setPriority(19);
const verdict = await verifyLog(dir, options);
// As it would travel over a socket: nothing in it refers to anything of this thread.
parentPort?.postMessage(JSON.parse(JSON.stringify(verdict)));
