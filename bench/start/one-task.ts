import { Client } from '#cli/client/client.ts';
import { transportOf } from '#cli/run/snapshot.ts';
import { takeSnapshot } from '#cli/workspace/upload.ts';
import type { LogRecord } from '#contract/records.ts';
import { OutputChunk } from '#contract/output.ts';

export type OneTask = {
  /** From the call to the first byte of output, to the closing record, both at the caller, ms. */
  firstByteMs: number;
  totalMs: number;
  /** The records of the run, as the caller saw them. */
  records: LogRecord[];
};

/** A daemon as a program uses it: one client that stays, one snapshot that is there already. */
export async function openCaller(socket: string, workspace: string, memoFile: string) {
  const client = new Client(socket);
  const { digest } = await takeSnapshot({ workspace, memoFile, transport: transportOf(client) });
  return {
    client,
    close: () => client.close(),

    /** A whole plan, from the API call to its closing record, ms. */
    async runPlan(text: string, concurrency: number): Promise<number> {
      const started = performance.now();
      const { id } = await client.call('runSubmit', {
        body: {
          intent: 'bench',
          plan: { text, file: 'bench.json' },
          snapshot: digest,
          workspace: 'bench',
          cache: false,
          concurrency,
        },
      });
      const isLast = ({ type }: LogRecord) => type === 'run.closed';
      let last: LogRecord | undefined;
      for await (const record of client.events('runEvents', { params: { id }, isLast })) {
        last = record;
      }
      if (last?.outcome !== 'ok') throw new Error(`the run failed: ${JSON.stringify(last)}`);
      return performance.now() - started;
    },

    /** One command as a task, from the API call to its result and its first byte of output. */
    async run(command: readonly string[]): Promise<OneTask> {
      const started = performance.now();
      const { id } = await client.call('runSubmit', {
        body: {
          intent: 'bench',
          exec: [...command],
          snapshot: digest,
          workspace: 'bench',
          cache: false,
        },
      });
      const records: LogRecord[] = [];
      let firstByteMs = Number.NaN;
      const output = (async () => {
        const chunks = client.objects('taskLog', {
          params: { id, task: 'exec' },
          query: { follow: true },
        });
        for await (const chunk of chunks) {
          if (Number.isNaN(firstByteMs)) firstByteMs = performance.now() - started;
          OutputChunk.parse(chunk);
        }
      })();
      const isLast = ({ type }: LogRecord) => type === 'run.closed';
      for await (const record of client.events('runEvents', { params: { id }, isLast })) {
        records.push(record);
      }
      const totalMs = performance.now() - started;
      await output;
      const closed = records.at(-1);
      if (closed?.outcome !== 'ok') throw new Error(`the task failed: ${JSON.stringify(closed)}`);
      return { firstByteMs, totalMs, records };
    },
  };
}

/** Time between the records of one run, ms: where it went. */
export function stagesOf(records: readonly LogRecord[]): [string, number][] {
  return records.slice(1).map((record, i) => {
    const before = records[i];
    const words = `${record.type} ${record.stage === 'note' ? '' : record.stage}`.trim();
    return [words, (record.mono - (before?.mono ?? record.mono)) / 1000];
  });
}
