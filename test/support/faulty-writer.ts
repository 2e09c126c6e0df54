/**
 * Appends a fixed number of records to a log and acts on each that was acknowledged, as a daemon
 * would, while somebody makes its system calls fail. Each line on stdout is one fact:
 * `ack SEQ WHAT`, `blocked CODE`, `closed`. Ends with 3 once the log blocked. Not a test by itself.
 */
import { writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import { openSignedLog } from './signed-by-near.ts';

const [dir = '', count = '40'] = process.argv.slice(2);
const say = (text: string) => writeSync(1, `${text}\n`);
const codeOf = (error: unknown) => (error instanceof OrchestraError ? error.code : String(error));

try {
  await work();
} catch (error) {
  say(`blocked ${codeOf(error)}`);
  process.exitCode = 3;
}

async function work(): Promise<void> {
  const opened = await openSignedLog(dir);
  const { log } = opened;
  log.onBlocked((error) => say(`latched ${error.code}`));
  const caller = async (name: string) => {
    for (let n = 0; n < Number(count); n += 1) {
      const what = `${name} ${n} ${'x'.repeat((n * 37) % 300)}`;
      const { seq } = await log.append({ type: 'daemon.error', data: { code: 'child', what } });
      say(`ack ${seq} ${what}`);
    }
  };
  const ended = await Promise.allSettled(['a', 'b'].map(caller));
  const failed = ended.find(({ status }) => status === 'rejected');
  if (failed !== undefined) {
    // What was refused once stays refused: the disk may well answer again by now.
    await setTimeout(20);
    const late = await log
      .append({ type: 'daemon.error', data: { code: 'child', what: 'late' } })
      .then(() => 'acted', codeOf);
    say(`late ${late}`);
  }
  await opened.close();
  say('closed');
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
}
