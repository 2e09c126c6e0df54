import type { RunView } from '#contract/run.ts';
import type { Client } from '../client/client.ts';
import { taskOutput } from '../run/task-output.ts';
import type { Answer, Answers, Seen } from './attack.ts';

const printedMax = 256 * 1024;

/** What each task of a run printed, the beginning of it, and what its script answered. */
export async function readSeen(
  client: Client,
  run: RunView,
  token: string,
): Promise<ReadonlyMap<string, Seen>> {
  const all = new Map<string, Seen>();
  for (const task of run.tasks) {
    const printed = task.output === undefined ? '' : await begin(client, run.id, task.id);
    all.set(task.id, { run, task, printed, answers: answersIn(printed, token) });
  }
  return all;
}

async function begin(client: Client, run: string, task: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const { bytes: chunk } of taskOutput(client, run, task)) {
    chunks.push(Buffer.from(chunk));
    bytes += chunk.length;
    if (bytes > printedMax) break;
  }
  return Buffer.concat(chunks).toString('latin1').slice(0, printedMax);
}

/** Every line behind the token; a script may say `began` first and its answers later. */
export function answersIn(printed: string, token: string): Answers {
  const found = new Map<string, Answer>();
  for (const line of printed.split('\n')) {
    if (!line.startsWith(`@@${token} `)) continue;
    let said: unknown;
    try {
      said = JSON.parse(Buffer.from(line.slice(token.length + 3), 'latin1').toString('utf8'));
    } catch {
      continue;
    }
    if (typeof said !== 'object' || said === null) continue;
    for (const [name, value] of Object.entries(said)) {
      const answer = value as Partial<Answer> | null;
      if (typeof answer?.text !== 'string') continue;
      found.set(name, { through: answer.through === true, text: answer.text.slice(0, 400) });
    }
  }
  return Object.fromEntries(found);
}
