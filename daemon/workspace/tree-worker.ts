import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { failureOf } from './thread-failure.ts';
import { TreeSteps } from './tree-steps.ts';
import type { FromTree, ToTree } from './tree-thread.ts';
import { TreeWriter } from './tree-writer.ts';

/** The program of the thread that writes an upload's tree while another one reads what comes. */
if (parentPort !== null) serve(parentPort);

function serve(port: NonNullable<typeof parentPort>): void {
  let tree: TreeSteps | undefined;
  const say = (message: FromTree): void => port.postMessage(message);
  const close = (): void => {
    tree?.[Symbol.dispose]();
    tree = undefined;
  };
  port.on('message', (message: ToTree) => {
    // After a failure nothing is done, and nothing said, until the next tree is begun.
    if (message.kind !== 'start' && tree === undefined) return;
    try {
      if (message.kind === 'start') {
        tree = new TreeSteps(new TreeWriter(join(message.temp, 'tree'), message.place));
      } else if (message.kind === 'data') {
        tree?.do(message.steps, message.batch);
        // Given back now: memory that waits for the collector makes it run again and again.
        for (const chunk of message.batch) chunk.buffer.transfer(0);
        say({ kind: 'taken' });
      } else {
        tree?.do(message.steps, []);
        close();
        say({ kind: 'done' });
      }
    } catch (cause) {
      close();
      say(failureOf(cause));
    }
  });
}
