import { OrchestraError } from '#contract/errors.ts';
import type { TaskView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context } from '../context.ts';
import { countOption, flagOption } from '../options.ts';
import { isOver } from '../run-words.ts';
import { followRun } from '../run/follow.ts';
import { taskChunks, taskOutput } from '../run/task-output.ts';
import { TerminalCleaner } from '../terminal/clean.ts';
import type { Styles } from '../terminal/print.ts';
import { Tail } from '../terminal/tail.ts';
import { pad } from '../terminal/text.ts';

const followedMax = 64;

/** What tasks wrote: cleaned, each line with its task in front when there are several. */
export const logs: Command = async (context, [id = '', only], options) => {
  const client = await context.client();
  const view = await client.call('runShow', { params: { id } });
  const raw = flagOption(options, 'raw');
  const tail = countOption(options, 'tail', { min: 0, max: 1_000_000 });
  const wanted = view.tasks.filter((task) => only === undefined || task.id === only);
  if (only !== undefined && wanted.length === 0) {
    throw new OrchestraError('task.unknown', `The run ${view.id} has no task ${only}`, {
      hint: `its tasks: ${view.tasks
        .map((task) => task.id)
        .join(', ')
        .slice(0, 500)}`,
    });
  }
  const writer = new Writer(context, client, view.id, { raw, tail, prefixed: only === undefined });
  if (!flagOption(options, 'follow') || isOver(view.state)) {
    for (const task of wanted)
      if (task.output !== undefined || task.state === 'running') await writer.write(task, false);
    return 0;
  }
  // Tasks join as they start; each is followed to its own end.
  const followed = new Map<string, Promise<void>>();
  await followRun(client, view.id, {
    onView: (now) => {
      for (const task of now.tasks) {
        const begun = task.state !== 'waiting' && task.state !== 'skipped';
        if (!begun || followed.has(task.id) || (only !== undefined && task.id !== only)) continue;
        if (followed.size >= followedMax && isOver(now.state)) continue;
        const following = writer.write(task, true);
        following.catch(() => undefined); // Awaited, and thrown, below.
        followed.set(task.id, following);
      }
    },
  });
  await Promise.all(followed.values());
  return 0;
};

const colours: readonly (keyof Styles)[] = ['cyan', 'green', 'yellow', 'bold'];

class Writer {
  readonly #context: Context;
  readonly #client: Client;
  readonly #run: string;
  readonly #how: { raw: boolean; tail: number | undefined; prefixed: boolean };
  #order = 0;

  constructor(
    context: Context,
    client: Client,
    run: string,
    how: { raw: boolean; tail: number | undefined; prefixed: boolean },
  ) {
    this.#context = context;
    this.#client = client;
    this.#run = run;
    this.#how = how;
  }

  async write(task: TaskView, follow: boolean): Promise<void> {
    const { print } = this.#context;
    const { raw, tail } = this.#how;
    if (print.json) {
      const chunks = taskChunks(this.#client, this.#run, task.id, { follow });
      for await (const chunk of chunks) await print.chunk({ task: task.id, ...chunk });
      return;
    }
    const output = taskOutput(this.#client, this.#run, task.id, { follow });
    if (raw && tail === undefined) {
      for await (const { bytes } of output) await print.bytes(bytes);
      return;
    }
    const prefix = this.#prefix(task.id);
    const lines = new Tail(tail, async (line) => {
      await print.bytes(Buffer.from(`${prefix}${line}\n`));
    });
    const cleaner = raw ? undefined : new TerminalCleaner({ colour: print.colour.out });
    const decoder = new TextDecoder();
    for await (const { bytes } of output) {
      await lines.push(cleaner?.push(bytes) ?? decoder.decode(bytes, { stream: true }));
    }
    await lines.push(cleaner?.end() ?? decoder.decode());
    await lines.end();
  }

  #prefix(id: string): string {
    if (!this.#how.prefixed) return '';
    const style = colours[this.#order++ % colours.length] ?? 'bold';
    return `${this.#context.print.out[style](pad(id, 16))} `;
  }
}
